"""Layout of a store: folders of data sets, in them folders of stages, in these what a stage made."""

import difflib
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import InputError
from pipeline.files.place import STAGE
from pipeline.files.user_input import resolve
from tasks import settings

if TYPE_CHECKING:
    from pipeline.store.inspection import Contents

SHARD = re.compile(r"\d+-of-\d+-[0-9a-f]{12}\.h5")
INDEX = re.compile(r"index-[0-9a-f]{12}\.h5")
OUTPUTS = ("index.h5", "network.safetensors", "reducer.safetensors", "scores.npz", "metrics.json", "predictions.json")
"""Names of the file that a complete stage's folder holds, one of them each."""
KINDS = {
    "manifest": "*/index.json",
    "log of rows": "*/*/journal-*/rows-*.log",
    "note": "*/*/journal-*/*.started",
    "shard": "*/*/[0-9]*-of-*-*.h5",
    "index": "*/*/index-*.h5",
    "link to the index": "*/*/index.h5",
    "reducer": "*/*/reducer.safetensors",
    "network": "*/*/network.safetensors",
    "scores": "*/*/scores.npz",
    "figures": "*/evaluate-*/metrics.json",
    "report": "*/evaluate-*/*",
    "comparison": "tables/*",
    "cache of keys": ".keys/*.json",
    "digests of weights": "weights.json",
    "lock": ".lock",
}
"""Kinds of files in a store, by patterns of their paths, upstream first."""
KINDS_OF_PREDICTIONS = {
    "recognizer": "recognizers/*/recognizer.json",
    "part of a recognizer": "recognizers/*/*/*.safetensors",
    "link to a recognizer": "recognizers/of-*",
    "list of videos": "lists/*/videos.json",
    "windows of videos": "lists/*.json",
    "predictions": "*/predictions-*/*",
}
"""Kinds of files that come with predictions about new videos, whose rows and scores are as above."""
SHOWN = 10
"""Number of ids that are listed."""


class StageFolder(NamedTuple):
    """Folder of one stage, with the name and fingerprint of the stage."""

    folder: Path
    name: str
    fingerprint: str

    @property
    def output(self) -> Path | None:
        """File with the stage's provenance: its result, or else a sealed shard; None where there is neither."""
        done = [self.folder / name for name in OUTPUTS if (self.folder / name).exists()]
        return next(iter(done or self.shards), None)

    @property
    def shards(self) -> list[Path]:
        """Sealed shards, including superseded ones."""
        return sorted(path for path in self.folder.glob("*.h5") if SHARD.fullmatch(path.name))

    def contents(self) -> "Contents":
        """Read what the current shards hold: those that the index links, or all sealed ones without an index."""
        from pipeline.store import inspection

        index = self.folder / "index.h5"
        return inspection.contents(inspection.linked(index) if index.exists() else self.shards)


def is_dataset(folder: Path) -> bool:
    """Return whether a folder is a data set's: it holds the manifest, or at least generated files."""
    return (folder / "index.json").is_file() or (folder / "files" / "complete").is_file()


def datasets(store: Path) -> list[Path]:
    """Return the folders of data sets, except those that are links."""
    return [folder for folder in _folders(store) if is_dataset(folder)]


def stage_folders(dataset: Path) -> list[StageFolder]:
    """Return the folders of a data set's stages."""
    return [stage_folder for folder in _folders(dataset) if (stage_folder := as_stage_folder(folder)) is not None]


def as_stage_folder(folder: Path) -> StageFolder | None:
    """Return a folder as a stage's; None where it is something else."""
    named = STAGE.fullmatch(folder.name)
    if named is None or not folder.is_dir() or is_dataset(folder):
        return None
    return StageFolder(folder, named["name"], named["fingerprint"])


def rows_file(path: Path) -> Path:
    """Return the file with a stage's rows, given itself or by the stage's folder. Raises InputError without one."""
    stage_folder = as_stage_folder(path)
    file = stage_folder.output if stage_folder else path
    if file is None or not file.is_file() or file.suffix != ".h5":
        raise InputError(f"{path} holds no rows; a stage of an extractor, its index.h5 or a shard is needed")
    return file


def bytes_in(path: Path) -> int:
    """Return the size in bytes of a file, or of all files in a folder."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in inside if file.is_symlink() or not file.is_dir())


def stages_under(path: Path) -> list[StageFolder]:
    """Return the folders of all stages at or below the folder of a store, data set or stage.

    Raises InputError where there are none.
    """
    stage_folder = as_stage_folder(path)
    found = (
        [stage_folder]
        if stage_folder
        else [
            *stage_folders(path),
            *(stage_folder for folder in datasets(path) for stage_folder in stage_folders(folder)),
        ]
    )
    if not found:
        raise InputError(
            f"{path} holds nothing that kinescope made; the folder of a store, data set or stage is needed"
        )
    return found


def resolve_path(given: str, others: Collection[str] = ()) -> Path:
    """Resolve a path that a user gave, relative to the working directory or to the store; "" is the store.

    Parameters
    ----------
    given : str
        The path.
    others : Collection of str
        Names that the user may have meant instead of a path.

    Raises
    ------
    InputError
        Where there is no such path, with the nearest existing one or the nearest of ``others``, or none can be.
    """
    for base in (Path(), settings.store()) if given else (settings.store(),):
        if resolve(base / given).exists():
            return base / given
    if near := difflib.get_close_matches(given, others, n=1):
        raise InputError(f"no such experiment or store: {given}; did you mean {near[0]}?")
    for base in (Path(), settings.store()):
        there, missing = _parted(base, given)
        names = _names(there)
        if near := difflib.get_close_matches(missing, names, n=1):
            raise InputError(f"no such store: {given}; did you mean {there / names[near[0]]}?")
    known = [str(folder) for folder in datasets(settings.store())]
    held = f"holds {', '.join(known)}" if known else "is empty, or does not exist"
    raise InputError(f"no such store: {given}; the store {settings.store()} {held}")


def unknown_video(given: str, known: Collection[str], where: Path) -> InputError:
    """Return the error for a video id that a store does not have."""
    if near := difflib.get_close_matches(given, known, n=1):
        return InputError(f"no video {given!r} in {where}; did you mean {near[0]!r}?")
    ids = sorted(known)
    more = f", … ({len(ids)} in all)" if len(ids) > SHOWN else ""
    return InputError(f"no video {given!r} in {where}; there are {', '.join(ids[:SHOWN])}{more}")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _parted(base: Path, given: str) -> tuple[Path, str]:
    """Return the part of a path that exists, and the first name that does not."""
    for name in Path(given).parts:
        if not (base / name).exists():
            return base, name
        base = base / name
    return base, ""


def _names(folder: Path) -> dict[str, str]:
    """Return the names in a folder, by themselves and by their parts without fingerprints."""
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    return {name.rpartition("-")[0]: name for name in names if STAGE.fullmatch(name)} | {name: name for name in names}
