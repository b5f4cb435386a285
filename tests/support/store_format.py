"""The document of the store's format, table by table, and a store of a format that is yet to come."""

import re
from pathlib import Path

import h5py
import numpy as np

from pipeline.rows import Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "store-format.md"


def table(header: str) -> list[tuple[str, ...]]:
    """The rows of the document's table whose first cell, or cells, are these; names without their quotes."""
    text = DOCUMENT.read_text(encoding="utf-8")
    _, _, after = text.partition(f"| {header} |")
    lines = re.match(r"[^\n]*\n\|[-| ]+\|\n((?:\|[^\n]*\n)+)", after)
    assert lines, f"{DOCUMENT.name} has no table {header!r}"
    return [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines[1].splitlines()]


def newer_store(folder: Path) -> Path:
    """A shard as the future may have it; an index of this version beside it."""
    path = folder / "000-of-001-0123456789ab.h5"
    journal, keys = Journal(folder / "journal"), Keys("a", "digest", ("a-0",))
    journal.write(keys, [Row({"features": np.zeros((3, 2), np.float32)}, {"frames": 3})])
    seal(path, [keys], {keys.name: journal.path(keys)}, {"stage": "test"})
    write_index(folder / "index.h5", [path], {"stage": "test"})
    restate(path, b"kinescope-store/3")
    return path


def restate(path: Path, stated: bytes) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["format"] = np.bytes_(stated)
