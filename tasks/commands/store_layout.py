"""Where things stand in a store: folders of data sets, in them folders of stages, in these what a stage made."""

import difflib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import InputError
from tasks import settings

if TYPE_CHECKING:
    from pipeline.store.inspection import Contents

STAGE = re.compile(r"(?P<name>.+)-(?P<fingerprint>[0-9a-f]{12})")
SHARD = re.compile(r"\d+-of-\d+-[0-9a-f]{12}\.h5")
INDEX = re.compile(r"index-[0-9a-f]{12}\.h5")
OUTPUTS = ("index.h5", "network.safetensors", "reducer.safetensors", "scores.npz", "metrics.json")
"""What a stage's folder holds when it is done, one of them each."""
SHOWN = 10


class StageFolder(NamedTuple):
    """The folder of one stage."""

    folder: Path
    name: str
    fingerprint: str

    @property
    def output(self) -> Path | None:
        """The file that says where the stage's come from; a sealed shard where they are not all there; None: none."""
        done = [self.folder / name for name in OUTPUTS if (self.folder / name).exists()]
        return next(iter(done or self.shards), None)

    @property
    def shards(self) -> list[Path]:
        """The sealed ones, superseded ones too."""
        return sorted(path for path in self.folder.glob("*.h5") if SHARD.fullmatch(path.name))

    def contents(self) -> "Contents":
        """What the shards hold that count: those that the index links, or all sealed ones where there is none yet."""
        from pipeline.store import inspection

        index = self.folder / "index.h5"
        return inspection.contents(inspection.linked(index) if index.exists() else self.shards)


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a data set's: it holds the manifest, or at least generated files."""
    return (folder / "index.json").is_file() or (folder / "files" / "complete").is_file()


def datasets(store: Path) -> list[Path]:
    """The folders of data sets, those that are links left out."""
    return [folder for folder in _folders(store) if is_dataset(folder)]


def shelves(dataset: Path) -> list[StageFolder]:
    """The folders of a data set's stages."""
    return [shelf for folder in _folders(dataset) if (shelf := as_shelf(folder)) is not None]


def as_shelf(folder: Path) -> StageFolder | None:
    """A stage's folder; None where it is something else."""
    named = STAGE.fullmatch(folder.name)
    if named is None or not folder.is_dir() or is_dataset(folder):
        return None
    return StageFolder(folder, named["name"], named["fingerprint"])


def rows_file(path: Path) -> Path:
    """The file with a stage's rows, be it given itself or the stage's folder. Raises InputError where there is none."""
    shelf = as_shelf(path)
    file = shelf.output if shelf else path
    if file is None or not file.is_file() or file.suffix != ".h5":
        raise InputError(f"{path} holds no videos' rows: a stage of an extractor, its index.h5 or a shard is needed")
    return file


def bytes_of(path: Path) -> int:
    """What a file takes, or all files in a folder."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in inside if file.is_symlink() or not file.is_dir())


def under(path: Path) -> list[StageFolder]:
    """All stages' folders at or below the folder of a store, of a data set or of a stage.

    Raises InputError where there is none.
    """
    shelf = as_shelf(path)
    found = [shelf] if shelf else [*shelves(path), *(shelf for folder in datasets(path) for shelf in shelves(folder))]
    if not found:
        raise InputError(
            f"{path} holds nothing that kinescope made: the folder of a store, data set or stage is wanted"
        )
    return found


def located(given: str, others: Collection[str] = ()) -> Path:
    """What a user means by the path of a store or of something in it, from here or from the store; "": the store.

    Raises InputError with the nearest name that is there, or that of ``others`` which might have been meant.
    """
    for base in (Path(), settings.store()) if given else (settings.store(),):
        if (base / given).exists():
            return base / given
    if near := difflib.get_close_matches(given, others, n=1):
        raise InputError(f"no such experiment or store: {given}; did you mean {near[0]}?")
    for base in (Path(), settings.store()):
        there, missing = _parted(base, given)
        names = _names(there)
        if near := difflib.get_close_matches(missing, names, n=1):
            raise InputError(f"no such store: {given}; did you mean {there / names[near[0]]}?")
    known = [str(folder) for folder in datasets(settings.store())]
    held = f"holds {', '.join(known)}" if known else "is empty, or not there"
    raise InputError(f"no such store: {given}; the store {settings.store()} {held}")


def unknown_video(given: str, known: Collection[str], where: Path) -> InputError:
    """The sentence for a video id that a store does not have."""
    if near := difflib.get_close_matches(given, known, n=1):
        return InputError(f"no video {given!r} in {where}: did you mean {near[0]!r}?")
    ids = sorted(known)
    more = f", … ({len(ids)} in all)" if len(ids) > SHOWN else ""
    return InputError(f"no video {given!r} in {where}: there are {', '.join(ids[:SHOWN])}{more}")


def flattened(value: Any, place: str = "") -> dict[str, Any]:
    """The leaves of nested tables, and of lists of tables, by dotted names."""
    if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        value = {str(number): part for number, part in enumerate(value)}
    if not isinstance(value, Mapping) or not value:
        return {place: value}
    parts = [flattened(part, f"{place}.{name}" if place else str(name)) for name, part in value.items()]
    return {name: leaf for part in parts for name, leaf in part.items()}


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _parted(base: Path, given: str) -> tuple[Path, str]:
    """The part of a path that is there, and the first name that is not."""
    for name in Path(given).parts:
        if not (base / name).exists():
            return base, name
        base = base / name
    return base, ""


def _names(folder: Path) -> dict[str, str]:
    """What is in a folder, by names, and by those without fingerprints."""
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    return {name.rpartition("-")[0]: name for name in names if STAGE.fullmatch(name)} | {name: name for name in names}
