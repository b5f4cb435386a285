"""One process that extracts from real clips for some seconds: ``worker.py EXTRACTOR DEVICE SECONDS [--small]``.

Says when it is ready, begins when it is told, and says how many time steps and videos came out.
"""

import sys
import time

import cv2
import torch
from stages import config
from table import clips

from extractors.base import Clip


def main(name: str, device: str, seconds: str, *options: str) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    extract, paths = config(name, small="--small" in options).build(device), clips(24)
    for _ in extract(Clip(paths[0])):
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    time_steps = videos = 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        time_steps += sum(len(row.arrays["start_frames"]) for row in extract(Clip(paths[videos % len(paths)])))
        videos += 1
    print(time_steps, videos, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
