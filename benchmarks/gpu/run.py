"""Runs the tests and figures of a GPU in eight minutes, most valuable first: ``run.py [--device cpu --small]``.

Each part is a process with a time limit of its own, so that one that hangs or fails loses itself alone. Every figure
is a line of JSON in ``gpu.jsonl`` of the folder ``$OUT`` (``gpu-out``); all of them are a table at the end. README.md
says what is needed. This file needs nothing but Python.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "benchmarks" / "gpu"
SEEN = "import sys, torch; sys.exit(not torch.cuda.is_available())"
"""Program that ends well where torch sees a GPU."""
MIN_LEFT_S = 5
"""Seconds that must be left for a part to begin."""


class Part(NamedTuple):
    """A part by its name, and the most seconds that it may take of the eight minutes."""

    name: str
    limit_s: float


PARTS = (
    Part("smoke", 30),
    Part("tests", 105),
    Part("tvl1", 70),
    Part("extraction", 95),
    Part("recurrent", 35),
    Part("finetune", 60),
    Part("networks", 35),
    Part("hog3d", 12),
    Part("fisher", 15),
    Part("startup", 23),
)
BUDGET_S = sum(part.limit_s for part in PARTS)


def main() -> int:
    """Run the parts, and return how many of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cpu shows that every part runs")
    parser.add_argument("--small", action="store_true", help="sizes that say nothing of speed")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds of all parts; limits keep their shares")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS], help="some of them alone")
    given = parser.parse_args()
    out = Path(os.environ.get("OUT", ROOT / "gpu-out")).absolute()
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.jsonl").unlink(missing_ok=True)
    end, failed = time.monotonic() + given.budget, 0
    with tempfile.TemporaryDirectory(prefix="kinescope-gpu-") as work:
        environment = _environment(Path(work), out, given.device)
        if given.device == "cuda" and subprocess.run([sys.executable, "-c", SEEN], env=environment).returncode:
            sys.exit("torch sees no CUDA device here; --device cpu --small runs every part without one")
        for part in PARTS:
            if given.parts is None or part.name in given.parts:
                limit_s = min(part.limit_s * given.budget / BUDGET_S, end - time.monotonic())
                failed += _run(part.name, _command(part.name, given, out), limit_s, environment, out)
    print(table([json.loads(line) for line in (out / "gpu.jsonl").read_text().splitlines()]))
    return failed


def _environment(work: Path, out: Path, device: str) -> dict[str, str]:
    """Return the environment of all parts; wheels of the folder .whl are installed for them."""
    paths = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    if wheels := sorted(map(str, (ROOT / ".whl").glob("*.whl"))):
        site = str(work / "site")
        install = ["install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target", site, *wheels]
        subprocess.run([sys.executable, "-m", "pip", *install], check=True)
        paths.insert(0, site)
    interpreted = {"TRITON_INTERPRET": "1"} if device == "cpu" else {}
    own = {name: str(work / name.lower()) for name in ("NUMBA_CACHE_DIR", "TRITON_CACHE_DIR")}
    fixed = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    told = {"PYTHONPATH": os.pathsep.join(paths), "OUT": str(out), "WORK": str(work)}
    return {**inherited, **fixed, **own, **interpreted, **told}


def _command(name: str, given: argparse.Namespace, out: Path) -> list[str]:
    if name != "tests":
        options = ["--device", given.device, *(["--small"] if given.small else [])]
        return [sys.executable, str(HERE / "part.py"), name, *options]
    marked = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    quiet = ["-q", "-ra", "--tb", "short", "-p", "no:cacheprovider", "--junitxml", str(out / "tests.xml")]
    spread = ["-n", "4"] if find_spec("xdist") else []
    limited = ["--timeout", "100"] if find_spec("pytest_timeout") else []
    return [sys.executable, "-m", "pytest", "-m", "gpu", *quiet, *spread, *limited, *marked]


def _run(name: str, command: list[str], limit_s: float, environment: dict[str, str], out: Path) -> bool:
    """Run one part within its time, tell how it ended, and return whether it failed."""
    if limit_s < MIN_LEFT_S:
        _tell(out, part=name, skipped="no time left")
        return True
    began = time.monotonic()
    with (out / f"{name}.log").open("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | str = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = "out of time"
        finally:
            _end(process)
        log.seek(0)
        last = log.read().splitlines()[-12:]
    _tell(out, part=name, ended=code, took_s=round(time.monotonic() - began, 1))
    if code != 0 or name == "tests":
        print("\n".join(f"    {line[:160]}" for line in last), flush=True)
    return code != 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a part, and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tell(out: Path, **fields: Any) -> None:
    line = json.dumps(fields)
    print(line, flush=True)
    with (out / "gpu.jsonl").open("a") as file:
        file.write(line + "\n")


def table(lines: list[dict[str, Any]]) -> str:
    """Return all figures as a table: the part, what was measured, and the numbers by name.

    Examples
    --------
    >>> print(table([{"part": "tvl1", "size": "320x240", "pairs_s": 2000.0}, {"part": "tests", "ended": 0}]))
    tvl1   320x240  pairs_s 2000
    tests           ended 0
    """
    rows = []
    for line in lines:
        words = [value for name, value in line.items() if isinstance(value, str) and name != "part"]
        numbers = [f"{name} {_short(value)}" for name, value in line.items() if not isinstance(value, str)]
        rows.append((line["part"], ", ".join(words), "  ".join(numbers)))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{part:{widths[0]}}  {what:{widths[1]}}  {numbers}".rstrip() for part, what, numbers in rows)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
