"""Collects garbage, which no experiment needs any more: ``kinescope gc``.

Only files that kinescope made are deleted, in folders of stages in folders of data sets: those that say themselves
where they belong, and what comes with them. Everything else in a store stays. No link is followed.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from data.base import Dataset
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.files.atomic import is_in_use
from pipeline.files.lock import exclusive_of_all
from pipeline.results import recognizer
from tasks import settings
from tasks.base import Stage, elsewhere
from tasks.commands.dependency_order import upstream_first
from tasks.commands.ownership import JOURNAL, ours
from tasks.commands.store_layout import INDEX, SHARD, SHOWN, StageFolder, datasets, stage_folders
from tasks.evaluation import Evaluate
from tasks.features import ExtractShard
from tasks.index import AnyDataset, as_if_indexed, manifest
from tasks.quantities import format_size
from tasks.recognition import former, recognizers

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
    for item in found:
        total += item.size
        if item.files:
            yield f"{'freed' if delete else 'would free'}  {format_size(item.size):>8}  {item.path}"
        if delete:
            item.free()
        for other in item.others[:SHOWN]:
            yield f"kept, as kinescope did not make it, or cannot tell: {other}"
    for folder in sorted(filter(Path.exists, kept.whole)):
        yield f"kept, as its data set is not indexed or its files are missing: {folder}"
    for folder in at_work(settings.store(), kept):
        yield f"kept, as it was written to within the hour and a run may be at work in it: {folder}"
    ending = "freed" if delete else "would be freed; --delete frees it"
    yield f"{format_size(total)} {ending}" if found else "nothing to free"


@dataclass(frozen=True)
class Garbage:
    """File or folder that is not needed.

    Attributes
    ----------
    path : Path
        The file or folder.
    files : tuple of Path
        The files that kinescope made: itself, or those in the folder.
    others : tuple of Path
        All other files in the folder, which stay.
    """

    path: Path
    files: tuple[Path, ...]
    others: tuple[Path, ...]

    @classmethod
    def of(cls, path: Path, made: Iterable[Path]) -> Self:
        """Divide what there is at a path by whether kinescope made it."""
        inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
        files = sorted(file for file in inside if file.is_symlink() or not file.is_dir())
        mine = set(made)
        return cls(path, tuple(filter(mine.__contains__, files)), tuple(file for file in files if file not in mine))

    @property
    def size(self) -> int:
        """Bytes of the files that kinescope made."""
        return sum(file.lstat().st_size for file in self.files)

    def free(self) -> None:
        """Delete what kinescope made, and the folders that are then empty, up to that around the path."""
        for file in self.files:
            file.unlink(missing_ok=True)
        inside = [path for path in self.path.rglob("*") if path.is_dir()] if self.path.is_dir() else []
        for folder in (*sorted(inside, reverse=True), self.path, self.path.parent):
            with suppress(OSError):  # it is no folder, or not empty
                folder.rmdir()


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

    A data set that is not indexed, or whose files are missing, is kept in full, since it is unknown what is needed; a
    part with the data set that may hold its results of before, when the videos were chosen by their presence.
    """
    kept = Kept()
    for evaluation in evaluations:
        dataset = evaluation.index.dataset
        try:
            kept.datasets.add(settings.dataset_folder(dataset))
            _reach(kept, evaluation)
        except InputError:
            kept.whole.update(_of_any_root(dataset))
    return kept


def present(evaluations: Iterable[Evaluate]) -> Iterator[Evaluate]:
    """Yield the experiments of which the store holds anything, if only the data set's folder."""
    return (task for task in evaluations if any(_of_any_root(task.index.dataset)))


def garbage(store: Path, kept: Kept) -> Iterator[Garbage]:
    """Yield what is not needed."""
    for dataset in datasets(store):
        if dataset in kept.whole:
            continue
        alive = [stage_folder for stage_folder in stage_folders(dataset) if is_alive(stage_folder)]
        for stage_folder in stage_folders(dataset):
            if stage_folder not in alive:
                yield from _spent(stage_folder, kept)
        read = any(folder.parent == dataset for folder in kept.folders)
        if dataset not in kept.datasets and not read and not alive:
            yield from _data(dataset)
    yield from _recognizers(kept)


def _recognizers(kept: Kept) -> Iterator[Garbage]:
    """Yield the recognizers that the experiments do not lead to, and the links by which others found them."""
    links = [path for path in sorted(recognizers().glob("of-*")) if path.is_symlink()]
    for link in links:
        if link not in kept.files and not _is_recent(link):
            yield Garbage.of(link, [link])
    for table in sorted(recognizers().glob(f"*/{recognizer.TABLE}")):
        folder = table.parent
        if folder not in {*kept.folders, *links} and not _is_recent(table):
            yield Garbage.of(folder, [table, *folder.glob("*/*.safetensors")])


def at_work(store: Path, kept: Kept) -> list[Path]:
    """Return the folders of stages that are kept only because a run may be at work in them."""
    found = [
        stage_folder
        for dataset in datasets(store)
        if dataset not in kept.whole
        for stage_folder in stage_folders(dataset)
    ]
    return [stage_folder.folder for stage_folder in found if any(_spent(stage_folder, kept)) and is_alive(stage_folder)]


def _of_any_root(dataset: Dataset) -> list[Path]:
    """Return the folders of a data set in the store, and those whose results it takes over, whatever their root."""
    lists_the_same = (dataset, dataset.as_present)
    plain = "|".join({re.escape(each.former_store_name) for each in lists_the_same})
    with_root = "|".join({re.escape(each.store_name) for each in lists_the_same})
    named = re.compile(rf"{plain}|({with_root})(-[0-9a-f]{{12}})?")
    return [folder for folder in datasets(settings.store()) if named.fullmatch(folder.name)]


def _reach(kept: Kept, evaluation: Evaluate) -> None:
    index = evaluation.index
    if not manifest(index.dataset).exists() or not all(task.complete() for task in index.requires()):
        raise InputError(f"{index.dataset.store_name} is not indexed; a run indexes it")
    with as_if_indexed(index.dataset, index.survey()):
        kept.folders.add(evaluation.folder())
        for link in former(evaluation.recipe):
            kept.files.add(link)
            kept.folders.add(link.resolve())
        for stage in upstream_first(evaluation.runs.stages(), lambda _: True):
            _keep(kept, stage)


def _keep(kept: Kept, stage: Stage) -> None:
    kept.folders.add(stage.path().parent)
    kept.files.add(stage.path())
    if not stage.complete():  # rows and outputs of before are taken over
        taken = [*stage.earlier(), *stage.elsewhere()] if isinstance(stage, ExtractShard) else elsewhere(stage.path())
        kept.files.update(taken)
        kept.folders.update(path.parent for path in taken)
        if isinstance(stage, ExtractShard):
            kept.files.add(stage.journal)


def _spent(stage_folder: StageFolder, kept: Kept) -> Iterator[Garbage]:
    """Yield a stage that is not needed; in one that is, superseded shards, their journals, and damaged files."""
    made = list(ours(stage_folder))
    if stage_folder.folder not in kept.folders:
        yield Garbage.of(stage_folder.folder, made)
        return
    for path in sorted(stage_folder.folder.iterdir()):
        superseded = SHARD.fullmatch(path.name) or INDEX.fullmatch(path.name)
        if path not in kept.files and (superseded or ".damaged-" in path.name or JOURNAL.fullmatch(path.name)):
            yield Garbage.of(path, made)


def _data(dataset: Path) -> Iterator[Garbage]:
    """Yield the manifest of a data set that no experiment needs, and its files where they were generated."""
    if (index := dataset / "index.json").is_file():
        yield Garbage.of(index, [index])
    if (mark := dataset / "files" / "complete").is_file():
        try:
            made = parse(AnyDataset, json.loads(mark.read_text())).generated_files(mark.parent)
        except ValueError:
            made = []
        yield Garbage.of(mark.parent, [mark, *made] if made else [])


def is_alive(stage_folder: StageFolder) -> bool:
    """Return whether a run may be at work in a stage."""
    written = [path for path in stage_folder.folder.rglob("*") if not path.is_dir()]
    return any(is_in_use(path) or _is_recent(path) for path in written)


def _is_recent(path: Path) -> bool:
    return path.lstat().st_mtime > time.time() - REST_S
