"""Tells which files in a stage's folder kinescope made, by what they say of themselves: no other is ever deleted."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.atomic import is_abandoned
from pipeline.files.crash_notes import NOTE
from pipeline.results.report_files import FIGURES, REPORT
from pipeline.store import inspection
from tasks.base import CHECKPOINTS
from tasks.commands.store_layout import INDEX, OUTPUTS, SHARD, StageFolder

JOURNAL = re.compile(r"journal-\d+-of-\d+")
_JOURNALED = re.compile(rf"rows-\d+\.log|process-\d+{re.escape(NOTE)}|[0-9a-f]{{32}}(\.h5|{re.escape(NOTE)})")
_DAMAGED = re.compile(r"(?P<name>.+)\.damaged-\d+")


def ours(stage_folder: StageFolder) -> Iterator[Path]:
    """Yield the files in a stage's folder that kinescope made, in the order of their names; no link is followed."""
    sealed = {path for path in stage_folder.folder.iterdir() if _is_sealed(path) and is_of(stage_folder, path)}
    for path in sorted(stage_folder.folder.iterdir()):
        if path in sealed:
            yield path
        elif JOURNAL.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield from (row for row in sorted(path.iterdir()) if _is_journaled(row, stage_folder))
        elif path.is_symlink():
            if path.name == "index.h5" and sealed and INDEX.fullmatch(str(path.readlink())):
                yield path
        elif path.name in CHECKPOINTS:
            if sealed or _is_checkpoint(path, stage_folder):
                yield path
        elif is_abandoned(path) or (sealed and _comes_with(path, sealed)):
            yield path


def is_of(stage_folder: StageFolder, path: Path) -> bool:
    """Return whether a sealed file says that it is this stage's."""
    try:
        origin = inspection.provenance(path)
    except InputError:
        return False
    if path.name == FIGURES and not origin.get("fingerprint"):  # earlier reports state none
        return stage_folder.name == "evaluate"
    return bool(origin.get("fingerprint") == stage_folder.fingerprint)


def _is_sealed(path: Path) -> bool:
    named = SHARD.fullmatch(path.name) or INDEX.fullmatch(path.name) or path.name in OUTPUTS
    return bool(named) and path.is_file() and not path.is_symlink()


def _comes_with(path: Path, sealed: set[Path]) -> bool:
    """Return whether a file is one of a report, or a quarantined one, beside what is certainly kinescope's."""
    named = _DAMAGED.fullmatch(path.name)
    name = named["name"] if named else path.name
    known = name in (*OUTPUTS, *CHECKPOINTS) or SHARD.fullmatch(name) or INDEX.fullmatch(name)
    report = name in REPORT and path.with_name(FIGURES) in sealed
    return path.is_file() and bool(report or (named and known))


def _is_journaled(path: Path, stage_folder: StageFolder) -> bool:
    """Return whether a file holds rows, or is a note, in the journal of this stage; earliest rows state no stage."""
    if path.is_symlink() or not _JOURNALED.fullmatch(path.name):
        return False
    if path.suffix == NOTE:
        return True
    try:
        return inspection.journaled_for(path) in (None, stage_folder.fingerprint)
    except InputError:
        return False


def _is_checkpoint(path: Path, stage_folder: StageFolder) -> bool:
    from pipeline.training.checkpoint import stage_of

    return stage_of(path) == stage_folder.folder.name
