"""Measures decoding of whole videos to arrays, against OpenCV and torchcodec.

    python benchmarks/decode.py [--json]

All deliver the same arrays, RGB or grey. VideoCapture chooses its own number of threads unless it is given one; for
small frames one thread is faster, which few of its users know: both are measured. torchcodec, which is no requirement
of this project and needs libraries of FFmpeg on the machine, is measured where it can be imported; it gives no grey.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
from table import Comparison, clips, fastest, options

from pipeline.video.decode import Colour, decode

CONVERSIONS: dict[Colour, int] = {"rgb": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_BGR2GRAY}


def ours(paths: list[Path], colour: Colour) -> int:
    """Decode by ``pipeline.video.decode``, on one thread, and return the number of frames."""
    return sum(len(block.frames) for path in paths for block in decode(path, colour=colour))


def opencv(paths: list[Path], colour: Colour, threads: int | None) -> int:
    """Decode by OpenCV, and return the number of frames."""
    frames = 0
    for path in paths:
        parameters = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, parameters)
        while (read := capture.read())[0]:
            cv2.cvtColor(read[1], CONVERSIONS[colour])
            frames += 1
    return frames


def torchcodec(paths: list[Path]) -> int:
    """Decode to RGB by torchcodec, on one thread, and return the number of frames."""
    from torchcodec.decoders import VideoDecoder

    return sum(1 for path in paths for _ in VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1))


def has_torchcodec() -> bool:
    """Return whether torchcodec can be imported; say on standard error why not."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        print(f"without torchcodec: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return False
    return True


def counting(counts: list[int], side: Callable[[], int]) -> Callable[[], None]:
    """Return a function that runs a side, and appends its number of frames to ``counts``."""
    return lambda: counts.append(side())


def main() -> None:
    given, table = options(__doc__ or "", clips=22, rounds=5)
    paths = clips(given.clips)
    cv2.setNumThreads(1)
    peers: list[tuple[Colour, str, str, Callable[[], int]]] = [
        (colour, f"cv2.VideoCapture, {said}", counted, partial(opencv, paths, colour, threads))
        for colour in CONVERSIONS
        for said, counted, threads in (
            ("its own choice of threads", "1, peer its choice", None),
            ("one thread", "1, peer 1", 1),
        )
    ]
    if has_torchcodec():
        peers.append(("rgb", "torchcodec, one thread", "1, peer 1", partial(torchcodec, paths)))
    for colour, name, threads, peer in peers:
        counts: list[int] = []
        seconds = fastest(given.rounds, counting(counts, partial(ours, paths, colour)), counting(counts, peer))
        if len(set(counts)) > 1:
            raise RuntimeError(f"the two sides decoded different numbers of frames: {sorted(set(counts))}")
        rates = [counts[0] / second for second in seconds]
        sizes = f"{len(paths)} clips, {counts[0]} frames, 320x240"
        table.add(Comparison(f"decode to {colour}; {name}", rates[0], rates[1], "frames/s", sizes, threads))


if __name__ == "__main__":
    main()
