"""Decoding whole videos to arrays, against OpenCV: ``python benchmarks/decode.py [--json]``.

Both deliver the same arrays, RGB or grey. VideoCapture chooses its own number of threads unless it is told one; for
small frames one is faster, which few of its users know: both are measured.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
from table import Comparison, clips, fastest, options

from pipeline.video.decode import Colour, decode

CONVERSIONS: dict[Colour, int] = {"rgb": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_BGR2GRAY}


def ours(paths: list[Path], colour: Colour) -> int:
    """Frames, decoded by ``pipeline.video.decode``, which uses one thread."""
    return sum(len(block.frames) for path in paths for block in decode(path, colour=colour))


def peer(paths: list[Path], colour: Colour, threads: int | None) -> int:
    """Frames, decoded by OpenCV."""
    frames = 0
    for path in paths:
        told = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, told)
        while (read := capture.read())[0]:
            cv2.cvtColor(read[1], CONVERSIONS[colour])
            frames += 1
    return frames


def counting(counts: list[int], side: Callable[[], int]) -> Callable[[], None]:
    """The side, its frames noted."""
    return lambda: counts.append(side())


def main() -> None:
    given, table = options(__doc__ or "", clips=22, rounds=5)
    paths = clips(given.clips)
    cv2.setNumThreads(1)
    for colour in CONVERSIONS:
        for threads in (None, 1):
            counts: list[int] = []
            seconds = fastest(
                given.rounds,
                counting(counts, lambda: ours(paths, colour)),  # noqa: B023
                counting(counts, lambda: peer(paths, colour, threads)),  # noqa: B023
            )
            if len(set(counts)) > 1:
                raise RuntimeError(f"the two sides do not count the same frames: {sorted(set(counts))}")
            rates = [counts[0] / second for second in seconds]
            told = "its own choice of threads" if threads is None else "one thread"
            name = f"decode to {colour}; cv2.VideoCapture, {told}"
            sizes = f"{len(paths)} clips, {counts[0]} frames, 320x240"
            table.add(Comparison(name, *rates, "frames/s", sizes, f"1, peer {threads or 'its choice'}"))


if __name__ == "__main__":
    main()
