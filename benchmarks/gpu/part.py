"""Measures one part of what a GPU does: ``part.py PART [--device cuda] [--small]``.

One JSON object a line, printed and appended to ``gpu.jsonl`` in $OUT.
"""

import argparse

from kernels import fisher, hog3d, networks, smoke, tvl1
from measuring import Measuring
from sequences import recurrent
from stages import extraction, finetune, startup

PARTS = {
    part.__name__: part for part in (smoke, tvl1, extraction, recurrent, finetune, networks, hog3d, fisher, startup)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes that say nothing of speed")
    given = parser.parse_args()
    on = Measuring(given.part, given.device, small=given.small)
    PARTS[given.part](on)
    on.end()


if __name__ == "__main__":
    main()
