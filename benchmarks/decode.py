"""Measures decoding of whole videos to arrays, against OpenCV.

    python benchmarks/decode.py [--json]

Both deliver the same arrays, RGB or grey. VideoCapture chooses its own number of threads unless it is given one; for
small frames one thread is faster, which few of its users know: both are measured.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
from table import Comparison, clips, fastest, options

from pipeline.video.decode import Colour, decode

CONVERSIONS: dict[Colour, int] = {"rgb": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_BGR2GRAY}


def ours(paths: list[Path], colour: Colour) -> int:
    """Decode by ``pipeline.video.decode``, on one thread, and return the number of frames."""
    return sum(len(block.frames) for path in paths for block in decode(path, colour=colour))


def peer(paths: list[Path], colour: Colour, threads: int | None) -> int:
    """Decode by OpenCV, and return the number of frames."""
    frames = 0
    for path in paths:
        parameters = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, parameters)
        while (read := capture.read())[0]:
            cv2.cvtColor(read[1], CONVERSIONS[colour])
            frames += 1
    return frames


def counting(counts: list[int], side: Callable[[], int]) -> Callable[[], None]:
    """Return a function that runs a side, and appends its number of frames to ``counts``."""
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
                raise RuntimeError(f"the two sides decoded different numbers of frames: {sorted(set(counts))}")
            rates = [counts[0] / second for second in seconds]
            choice = "its own choice of threads" if threads is None else "one thread"
            name = f"decode to {colour}; cv2.VideoCapture, {choice}"
            sizes = f"{len(paths)} clips, {counts[0]} frames, 320x240"
            table.add(Comparison(name, *rates, "frames/s", sizes, f"1, peer {threads or 'its choice'}"))


if __name__ == "__main__":
    main()
