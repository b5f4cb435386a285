"""What no experiment needs any more: ``kinescope gc``.

Only what bears the names that kinescope gives is ever looked at: folders of stages in folders of data sets. Whatever
else lies in a store stays, and links are removed, never followed.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.atomic import is_in_use
from pipeline.files.lock import exclusive_of_all
from tasks import settings
from tasks.base import Stage
from tasks.commands.dependency_order import upstream_first
from tasks.commands.store_layout import INDEX, SHARD, StageFolder, bytes_of, datasets, shelves
from tasks.commands.text_tables import size
from tasks.evaluation import Evaluate
from tasks.features import ExtractShard
from tasks.index import as_if_indexed, manifest

REST_S = 3600
"""A stage that something was written to within this time may belong to a run that is alive: it stays, whole.

A run that makes something holds the store's lock, which ``collect`` respects. Between two stages it holds none: then
this time alone protects it, and what it reads that is older, and that no experiment to keep reaches, may be taken.
"""


def collect(evaluations: Iterable[Evaluate], *, delete: bool) -> Iterator[str]:
    """Lines about what the experiments do not reach; with ``delete`` it is freed.

    Raises InputError where a run is at work that something might be taken from.
    """
    with exclusive_of_all(settings.store() / ".lock") if delete else nullcontext():
        yield from _collected(reached(evaluations), delete)


def _collected(kept: "Kept", delete: bool) -> Iterator[str]:
    total = 0
    for path in list(garbage(settings.store(), kept)):
        amount = bytes_of(path)
        total += amount
        if delete:
            free(path)
        yield f"{'freed' if delete else 'would free'}  {size(amount):>8}  {path}"
    for folder in sorted(filter(Path.exists, kept.whole)):
        yield f"kept, as its data set is not indexed, or its files are not there: {folder}"
    for folder in at_work(settings.store(), kept):
        yield f"kept, as it was written to within the hour, and a run may be at work in it: {folder}"
    yield f"{size(total)} {'freed' if delete else 'would be freed: --delete does it'}"


@dataclass
class Kept:
    """What experiments reach: whole data sets, folders of stages, and files in these."""

    whole: set[Path] = field(default_factory=set)
    datasets: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


def reached(evaluations: Iterable[Evaluate]) -> Kept:
    """What a run of some experiments would read or make, for the files as they are now.

    Of a data set that is not indexed, or whose files are not there, everything is kept: nobody knows what is reached.
    """
    kept = Kept()
    for evaluation in evaluations:
        folder = manifest(evaluation.index.dataset).parent
        kept.datasets.add(folder)
        try:
            _reach(kept, evaluation)
        except InputError:
            kept.whole.add(folder)
    return kept


def present(evaluations: Iterable[Evaluate]) -> Iterator[Evaluate]:
    """Those experiments of which the store has anything, be it the data set's folder alone."""
    return (task for task in evaluations if manifest(task.index.dataset).parent.exists())


def garbage(store: Path, kept: Kept) -> Iterator[Path]:
    """Folders and files that may go, those within a folder that goes left out."""
    for dataset in datasets(store):
        if dataset in kept.whole:
            continue
        alive = [shelf for shelf in shelves(dataset) if is_alive(shelf)]
        for shelf in shelves(dataset):
            if shelf not in alive:
                yield from _spent(shelf, kept)
        if dataset not in kept.datasets and not alive:
            yield from (path for path in (dataset / "index.json", dataset / "files") if path.exists())


def at_work(store: Path, kept: Kept) -> list[Path]:
    """The folders of stages of which something might go, were it not that a run may be at work in them."""
    found = [shelf for dataset in datasets(store) if dataset not in kept.whole for shelf in shelves(dataset)]
    return [shelf.folder for shelf in found if any(_spent(shelf, kept)) and is_alive(shelf)]


def free(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; and its own folder where nothing else was in that."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _reach(kept: Kept, evaluation: Evaluate) -> None:
    index = evaluation.index
    if not manifest(index.dataset).exists() or not all(task.complete() for task in index.requires()):
        raise InputError(f"{index.dataset.store_name} is not indexed")
    with as_if_indexed(index.dataset, index.survey()):
        kept.folders.add(evaluation.folder())
        for stage in upstream_first(evaluation.runs.stages(), lambda _: True):
            _keep(kept, stage)


def _keep(kept: Kept, stage: Stage) -> None:
    kept.folders.add(stage.path().parent)
    kept.files.add(stage.path())
    if isinstance(stage, ExtractShard) and not stage.complete():
        kept.files.update((*stage.earlier(), stage.journal))  # whose rows are taken over


def _spent(shelf: StageFolder, kept: Kept) -> Iterator[Path]:
    """All of a stage that is not reached; of one that is, superseded shards, their journals, and what was damaged."""
    if shelf.folder not in kept.folders:
        yield shelf.folder
        return
    for path in sorted(shelf.folder.iterdir()):
        superseded = SHARD.fullmatch(path.name) or INDEX.fullmatch(path.name)
        if path not in kept.files and (superseded or ".damaged-" in path.name or path.name.startswith("journal-")):
            yield path


def is_alive(shelf: StageFolder) -> bool:
    """Whether a run may be at work in it."""
    written = [path for path in shelf.folder.rglob("*") if not path.is_dir()]
    recent = time.time() - REST_S
    return any(is_in_use(path) or path.lstat().st_mtime > recent for path in written)
