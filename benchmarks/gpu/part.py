"""GPU figures that the benchmarks against peers do not give: ``part.py PART [--device cuda] [--small]``.

One JSON object a line, printed and appended to ``gpu.jsonl`` in $OUT.
"""

import argparse

from kernels import drnn, hog3d, networks, smoke, tvl1
from measuring import Measuring
from stages import extraction, finetune

PARTS = {part.__name__: part for part in (smoke, tvl1, extraction, drnn, networks, finetune, hog3d)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes that say nothing of speed")
    parser.add_argument("--seconds", type=float, default=4, help="that each extraction takes")
    given = parser.parse_args()
    PARTS[given.part](Measuring(given))


if __name__ == "__main__":
    main()
