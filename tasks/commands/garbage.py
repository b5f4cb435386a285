"""Collects garbage, which no experiment needs any more: ``kinescope gc``.

Only files and folders with names that kinescope gives are considered: folders of stages in folders of data sets.
Everything else in a store stays. Links are removed, never followed.
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
from tasks.commands.quantities import format_size
from tasks.commands.store_layout import INDEX, SHARD, StageFolder, bytes_in, datasets, stage_folders
from tasks.evaluation import Evaluate
from tasks.features import ExtractShard
from tasks.index import as_if_indexed, manifest

REST_S = 3600
"""Seconds after its last change for which a stage is kept in full, as a run may be using it.

A run that computes holds the store's lock, which ``collect`` respects. Between two stages it holds none: this time
alone protects it then, and older stages that it reads, and that no experiment to keep needs, may be deleted.
"""


def collect(evaluations: Iterable[Evaluate], *, delete: bool) -> Iterator[str]:
    """List, line by line, what the experiments do not need; with ``delete`` it is deleted.

    Raises
    ------
    InputError
        Where a run is at work, and ``delete`` might take something from it.
    """
    with exclusive_of_all(settings.store() / ".lock") if delete else nullcontext():
        yield from _collected(reached(evaluations), delete)


def _collected(kept: "Kept", delete: bool) -> Iterator[str]:
    total, found = 0, list(garbage(settings.store(), kept))
    for path in found:
        amount = bytes_in(path)
        total += amount
        if delete:
            free(path)
        yield f"{'freed' if delete else 'would free'}  {format_size(amount):>8}  {path}"
    for folder in sorted(filter(Path.exists, kept.whole)):
        yield f"kept, as its data set is not indexed or its files are missing: {folder}"
    for folder in at_work(settings.store(), kept):
        yield f"kept, as it was written to within the hour and a run may be at work in it: {folder}"
    ending = "freed" if delete else "would be freed; --delete frees it"
    yield f"{format_size(total)} {ending}" if found else "nothing to free"


@dataclass
class Kept:
    """Paths that experiments need.

    Attributes
    ----------
    whole : set of Path
        Folders of data sets that are kept in full.
    datasets : set of Path
        Folders of data sets.
    folders : set of Path
        Folders of stages.
    files : set of Path
        Files in folders of stages.
    """

    whole: set[Path] = field(default_factory=set)
    datasets: set[Path] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


def reached(evaluations: Iterable[Evaluate]) -> Kept:
    """Return what a run of the experiments would read or make, for the files as they are now.

    A data set that is not indexed, or whose files are missing, is kept in full, since it is unknown what is needed.
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
    """Yield the experiments of which the store holds anything, if only the data set's folder."""
    return (task for task in evaluations if manifest(task.index.dataset).parent.exists())


def garbage(store: Path, kept: Kept) -> Iterator[Path]:
    """Yield folders and files that may be deleted; of a folder, not what is in it."""
    for dataset in datasets(store):
        if dataset in kept.whole:
            continue
        alive = [stage_folder for stage_folder in stage_folders(dataset) if is_alive(stage_folder)]
        for stage_folder in stage_folders(dataset):
            if stage_folder not in alive:
                yield from _spent(stage_folder, kept)
        if dataset not in kept.datasets and not alive:
            yield from (path for path in (dataset / "index.json", dataset / "files") if path.exists())


def at_work(store: Path, kept: Kept) -> list[Path]:
    """Return the folders of stages that are kept only because a run may be at work in them."""
    found = [
        stage_folder
        for dataset in datasets(store)
        if dataset not in kept.whole
        for stage_folder in stage_folders(dataset)
    ]
    return [stage_folder.folder for stage_folder in found if any(_spent(stage_folder, kept)) and is_alive(stage_folder)]


def free(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, and the folder around it if that is then empty."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _reach(kept: Kept, evaluation: Evaluate) -> None:
    index = evaluation.index
    if not manifest(index.dataset).exists() or not all(task.complete() for task in index.requires()):
        raise InputError(f"{index.dataset.store_name} is not indexed; a run indexes it")
    with as_if_indexed(index.dataset, index.survey()):
        kept.folders.add(evaluation.folder())
        for stage in upstream_first(evaluation.runs.stages(), lambda _: True):
            _keep(kept, stage)


def _keep(kept: Kept, stage: Stage) -> None:
    kept.folders.add(stage.path().parent)
    kept.files.add(stage.path())
    if isinstance(stage, ExtractShard) and not stage.complete():
        kept.files.update((*stage.earlier(), stage.journal))  # whose rows are taken over


def _spent(stage_folder: StageFolder, kept: Kept) -> Iterator[Path]:
    """Yield a stage that is not needed; in one that is, superseded shards, their journals, and damaged files."""
    if stage_folder.folder not in kept.folders:
        yield stage_folder.folder
        return
    for path in sorted(stage_folder.folder.iterdir()):
        superseded = SHARD.fullmatch(path.name) or INDEX.fullmatch(path.name)
        if path not in kept.files and (superseded or ".damaged-" in path.name or path.name.startswith("journal-")):
            yield path


def is_alive(stage_folder: StageFolder) -> bool:
    """Return whether a run may be at work in a stage."""
    written = [path for path in stage_folder.folder.rglob("*") if not path.is_dir()]
    recent = time.time() - REST_S
    return any(is_in_use(path) or path.lstat().st_mtime > recent for path in written)
