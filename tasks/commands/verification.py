"""Verifies sealed files by reading them in full: ``kinescope verify``."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import DamagedStore, InputError, Unavailable
from pipeline.files import tensors
from pipeline.files.atomic import quarantine
from pipeline.files.progress import Bar
from pipeline.scoring.scores import Scores
from pipeline.store import inspection
from pipeline.store.sealed import verify as verify_rows
from tasks.commands.store_layout import INDEX, OUTPUTS, SHARD, stages_under


def sealed(path: Path) -> list[Path]:
    """Return every file at or below a path that can be verified, shards before the indices that link them.

    Raises InputError where there are none.
    """
    if path.is_file():
        if not _is_sealed(path):
            raise InputError(
                f"{path} cannot be verified; a shard, index, network or file of scores of a store is needed"
            )
        return [path]
    files = [
        file
        for stage_folder in stages_under(path)
        for file in sorted(stage_folder.folder.iterdir())
        if _is_sealed(file)
    ]
    return sorted(files, key=lambda file: INDEX.fullmatch(file.name) is not None)


def verify(files: list[Path]) -> Iterator[str]:
    """Read files in full, and yield a sentence for each that is damaged, which is then set aside.

    Raises Unavailable at the end where a file cannot be read here and now: whether it is whole remains open.
    """
    unread: Unavailable | None = None
    total = sum(file.stat().st_size for file in files)
    with Bar(total=total, desc="verify", unit="B", unit_scale=True) as progress:
        for file in files:
            amount = file.stat().st_size
            try:
                _CHECKS[file.suffix](file)
            except DamagedStore as error:
                yield str(error)
            except Unavailable as error:
                unread = error
            progress.update(amount)
    if unread is not None:
        raise unread


def without_place(files: list[Path]) -> int:
    """Count the files that do not state where they belong, as those of before do not: nothing was compared."""
    return sum(file.suffix != ".json" and file.exists() and not _states_place(file) for file in files)


def _states_place(file: Path) -> bool:
    try:
        return "file" in inspection.provenance(file)
    except InputError:  # it has no provenance
        return False


def _is_sealed(file: Path) -> bool:
    named = SHARD.fullmatch(file.name) or INDEX.fullmatch(file.name) or file.name in OUTPUTS
    return bool(named) and file.is_file() and not file.is_symlink()


def _rows(file: Path) -> None:
    verify_rows(file)
    try:
        inspection.check(file)
    except Unavailable:  # of a shard; the index may be right
        raise
    except InputError as error:
        quarantine(file, error)


def _figures(file: Path) -> None:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        quarantine(file, error)


_CHECKS: dict[str, Callable[[Path], Any]] = {
    ".h5": _rows,
    ".safetensors": tensors.read,
    ".npz": Scores.load,
    ".json": _figures,
}
