"""Measures for all parts: a clock that waits for the device, lines of JSON, and a watch on how busy the GPU is."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

WATCH_EVERY_S = 0.1


class Measuring:
    """One part's measurements on a device.

    Parameters
    ----------
    part : str
        Its name.
    device : str
        "cuda" or "cpu".
    small : bool
        Whether everything has a size that shows that it runs, and says nothing of speed.
    """

    def __init__(self, part: str, device: str, *, small: bool) -> None:
        self.part, self.device, self.small, self.failed = part, device, small, 0

    def say(self, **fields: Any) -> None:
        """Print one JSON object and append it to ``gpu.jsonl`` in $OUT."""
        rounded = {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in fields.items()}
        line = json.dumps({"part": self.part, **rounded})
        print(line, flush=True)
        with (Path(os.environ["OUT"]) / "gpu.jsonl").open("a") as file:
            file.write(line + "\n")

    def median_s(self, run: Callable[[], object], rounds: int = 5, warm: int = 2) -> float:
        """Return the median seconds of a call, the device's work included, after some that are not timed."""
        rounds, warm = (1, 0) if self.small else (rounds, warm)
        for _ in range(warm):
            run()
        self.wait()
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - began)
        return float(np.median(times))

    def wait(self) -> None:
        """Wait until the device has done its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    @contextmanager
    def guarded(self, **what: Any) -> Iterator[None]:
        """Turn what fails into a line, so that the rest goes on."""
        try:
            yield
        except Exception as error:
            self.failed += 1
            self.say(**what, error=f"{type(error).__name__}: {str(error)[:300]}")
            if self.device == "cuda":
                torch.cuda.empty_cache()

    def end(self) -> None:
        """End the process as one that failed where any measurement did."""
        sys.exit(self.failed > 0)


@contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """Yield a dict that finally holds how busy the GPU was: the percentage of time with a kernel, by its driver."""
    end, busy, found = threading.Event(), [], dict[str, Any]()

    def look() -> None:
        while not end.wait(WATCH_EVERY_S):
            busy.append(torch.cuda.utilization())  # by NVIDIA's management library, nvidia-ml-py

    thread = threading.Thread(target=look) if torch.cuda.is_available() and _driver_answers() else None
    if thread:
        thread.start()
    try:
        yield found
    finally:
        end.set()
        if thread:
            thread.join()
        found["gpu_busy_percent"] = float(np.mean(busy)) if busy else None


def _driver_answers() -> bool:
    try:
        torch.cuda.utilization()
    except Exception:  # each way in which the library is not there has an error of its own
        return False
    return True
