"""Decoding whole videos to arrays, against OpenCV: ``python benchmarks/decode.py [--json]``.

Both sides decode the same clips, by turns, in one process; each side's time is its best of all rounds, so that what
else the machine does counts for neither. A ratio above 1 means that ours is faster. The peer delivers BGR, ours RGB.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402

from pipeline.video import Colour, decode  # noqa: E402

Count = Callable[[Path], int]


def ours(colour: Colour) -> Count:
    """Frames of a video, decoded by ``pipeline.video`` in one thread."""
    return lambda path: sum(len(block.frames) for block in decode(path, colour=colour))


def peer(threads: int | None, conversion: int | None = None) -> Count:
    """Frames of a video, decoded by OpenCV, and converted from BGR where that is asked for."""

    def count(path: Path) -> int:
        options = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, options), 0
        while True:
            there, frame = capture.read()
            if not there:
                return frames
            if conversion is not None:
                cv2.cvtColor(frame, conversion)
            frames += 1

    return count


CASES: dict[str, tuple[Colour, int | None, int | None]] = {
    "rgb; cv2.VideoCapture (BGR), its own choice of threads": ("rgb", None, None),
    "rgb; cv2.VideoCapture (BGR), one thread": ("rgb", 1, None),
    "rgb; cv2.VideoCapture and BGR2RGB, one thread": ("rgb", 1, cv2.COLOR_BGR2RGB),
    "grey; cv2.VideoCapture and BGR2GRAY, one thread": ("grey", 1, cv2.COLOR_BGR2GRAY),
}


def compare(name: str, paths: list[Path], rounds: int) -> dict[str, Any]:
    """Frames a second of both sides. Raises RuntimeError where they do not count the same frames."""
    colour, threads, conversion = CASES[name]
    sides = (ours(colour), peer(threads, conversion))
    seconds, frames = [float("inf"), float("inf")], [0, 0]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 else (1, 0):
            begin = time.perf_counter()
            frames[side] = sum(sides[side](path) for path in paths)
            seconds[side] = min(seconds[side], time.perf_counter() - begin)
    if frames[0] != frames[1]:
        raise RuntimeError(f"{name}: ours has {frames[0]} frames, the peer {frames[1]}")
    rates = [count / second for count, second in zip(frames, seconds, strict=True)]
    return {
        "name": f"decode to {name}",
        "ours": round(rates[0], 1),
        "peer": round(rates[1], 1),
        "ratio": round(rates[0] / rates[1], 3),
        "unit": "frames/s",
        "sizes": f"{len(paths)} clips, {frames[0]} frames, 320x240",
        "threads": "ours 2 (one decodes, one converts), peer " + ("its default" if threads is None else str(threads)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--clips", type=int, default=22, help="how many of the 825 clips, evenly spread")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    shared = Path(os.environ.get("KINESCOPE_SHARED", ROOT / ".." / "shared" / "data")).resolve()
    videos = sorted((shared / "ucf101-11" / "videos").glob("*/*.mp4"))
    if not videos:
        sys.exit(f"no videos below {shared}/ucf101-11: set KINESCOPE_SHARED to the folder of real data")
    paths = videos[:: max(1, len(videos) // options.clips)][: options.clips]
    cv2.setNumThreads(1)
    for name in CASES:
        result = compare(name, paths, options.rounds)
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            print("{name:68} {ours:8.0f} {peer:8.0f} {unit}  ratio {ratio:5.2f}  ({threads}; {sizes})".format(**result))


if __name__ == "__main__":
    main()
