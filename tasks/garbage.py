"""What no experiment needs any more: ``kinescope gc``.

Only what bears the names that kinescope gives is ever looked at: folders of stages in folders of data sets. Whatever
else lies in a store stays, and links are removed, never followed.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.atomic import is_in_use
from pipeline.errors import InputError
from tasks import settings
from tasks.base import Stage
from tasks.evaluation import Evaluate
from tasks.features import ExtractShard
from tasks.graph import upstream_first
from tasks.index import foreseen, manifest
from tasks.shelves import INDEX, SHARD, Shelf, datasets, shelves

REST_S = 3600
"""A stage that something was written to within this time may belong to a run that is alive: it stays."""


@dataclass
class Kept:
    """What experiments reach: whole data sets, folders of stages, and files in these."""

    whole: set[Path] = field(default_factory=set)
    datasets: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


def reached(evaluations: Iterable[Evaluate]) -> Kept:
    """What a run of some experiments would read or make, for the files as they are now.

    Of a data set that is not indexed everything is kept: nobody knows what of it is reached. Raises InputError where an
    experiment's files are not there.
    """
    kept = Kept()
    for evaluation in evaluations:
        index = evaluation.index
        folder = manifest(index.dataset).parent
        kept.datasets.add(folder)
        if not manifest(index.dataset).exists() or not all(task.complete() for task in index.requires()):
            kept.whole.add(folder)
            continue
        with foreseen(index.dataset, index.survey()):
            kept.folders.add(evaluation.folder())
            for stage in upstream_first(evaluation.stages(), lambda _: True):
                _keep(kept, stage)
    return kept


def garbage(store: Path, kept: Kept) -> Iterator[Path]:
    """Folders and files that may go, those within a folder that goes left out."""
    for dataset in datasets(store):
        if dataset in kept.whole:
            continue
        for shelf in shelves(dataset):
            if _is_alive(shelf):
                continue
            if shelf.folder in kept.folders:
                yield from (path for path in sorted(shelf.folder.iterdir()) if _is_spent(path) and path not in kept.files)
            else:
                yield shelf.folder
        if dataset not in kept.datasets:
            yield from (path for path in (dataset / "index.json", dataset / "files") if path.exists())


def free(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; and its own folder where nothing else was in that."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in inside if file.is_symlink() or not file.is_dir())


def _keep(kept: Kept, stage: Stage) -> None:
    kept.folders.add(stage.path().parent)
    kept.files.add(stage.path())
    if isinstance(stage, ExtractShard) and not stage.complete():
        kept.files.update(stage.earlier())  # whose rows are taken over


def _is_spent(path: Path) -> bool:
    """Whether a file of a stage that is reached has a name that superseded and damaged ones have."""
    return any(pattern.fullmatch(path.name) for pattern in (SHARD, INDEX)) or ".damaged-" in path.name


def _is_alive(shelf: Shelf) -> bool:
    """Whether a run may be at work in it."""
    written = [path for path in shelf.folder.rglob("*") if not path.is_dir()]
    recent = time.time() - REST_S
    at_work = any(path.parent.name.startswith("journal-") and path.lstat().st_mtime > recent for path in written)
    return at_work or any(is_in_use(path) for path in written)
