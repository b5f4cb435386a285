"""Times both sides of a benchmark by turns in one process, and prints a line for people or for programs."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Comparison:
    """Comparison of ours with a peer.

    Attributes
    ----------
    name : str
        Title of the line.
    ours, peer : float
        The measured figures.
    unit : str
        "s", "ms" or "MiB", of which less is better, or a rate.
    sizes : str
        What was computed, in words.
    threads : int or str
        Number of threads of both, or both in words where they differ.
    """

    name: str
    ours: float
    peer: float
    unit: str
    sizes: str
    threads: int | str

    @property
    def ratio(self) -> float:
        """Ratio, above 1 where ours is faster or takes less."""
        return self.peer / self.ours if self.unit in ("s", "ms", "MiB") else self.ours / self.peer


def fastest(rounds: int, *sides: Callable[[], object]) -> list[float]:
    """Return the best seconds of each side; they take turns, so that other load on the machine affects all."""
    seconds = [float("inf")] * len(sides)
    for turn in range(rounds):
        for place in range(len(sides)) if turn % 2 else reversed(range(len(sides))):
            began = time.perf_counter()
            sides[place]()
            seconds[place] = min(seconds[place], time.perf_counter() - began)
    return seconds


class Table:
    """Table that prints each comparison as soon as it is added."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        if not as_json:
            print(f"{'':58} {'ours':>9} {'peer':>9} {'':10} {'ratio':>6}  threads; sizes")

    def add(self, line: Comparison) -> None:
        """Print one line: a JSON object, or a row of the table."""
        if self.as_json:
            rounded = {name: float(f"{getattr(line, name):.4g}") for name in ("ours", "peer", "ratio")}
            print(json.dumps({**asdict(line), **rounded}), flush=True)
        else:
            figures = f"{line.ours:9.4g} {line.peer:9.4g} {line.unit:10} {line.ratio:6.2f}"
            print(f"{line.name:58} {figures}  {line.threads}; {line.sizes}", flush=True)


def options(description: str, **sizes: Any) -> tuple[argparse.Namespace, Table]:
    """Parse the command line of a benchmark: ``--json``, and its sizes with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    for name, default in sizes.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(default), default=default, help=f"default: {default}")
    given = parser.parse_args()
    return given, Table(given.json)


def clips(count: int) -> list[Path]:
    """Return some of the real UCF-101 clips, evenly spread; exit with a sentence where they are absent."""
    videos: Sequence[Path] = sorted((shared() / "ucf101-11" / "videos").glob("*/*.mp4"))
    if not videos:
        sys.exit(f"no videos below {shared()}/ucf101-11: set KINESCOPE_SHARED to the folder of real data")
    return list(videos[:: max(1, len(videos) // count)][:count])


def shared() -> Path:
    """Return the folder of real data."""
    return Path(os.environ.get("KINESCOPE_SHARED", ROOT / ".." / "shared" / "data")).resolve()
