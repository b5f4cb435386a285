"""Hold what a trained recognizer consists of: in a folder, or packed into one file for another machine.

The folder has the recipe, classes and members in ``recognizer.json``, and each fitted part under the name of the stage
that made it. A packed file is a ZIP archive of that folder: JSON and safetensors, nothing that runs code.
"""

import shutil
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, file_digest
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path, copy
from pipeline.files.records import parse_record, read_record, write_record
from pipeline.fingerprint import short_digest

Answering = Literal["first", "all", "everything"]
"""Which runs answer: the first, all as the mean of their probabilities, or one that is trained on all videos."""
TABLE = "recognizer.json"
_BLOCK_BYTES = 2**20


class Member(BaseModel):
    """One run whose networks answer: a fold, a seed, and the fusion with the weights that it chose.

    threshold: probability from which on the class that is to be detected is taken to be there, where there are two.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fold: int
    seed: int
    fusion: dict[str, Any] | None = None
    threshold: float | None = None


class Recognizer(BaseModel):
    """Contents of a recognizer.

    Attributes
    ----------
    experiment : dict
        The recipe, as JSON has it.
    classes, folds : tuple of str
        Names of the classes, and of the folds by number.
    positive : str, optional
        The class that is to be detected, of two.
    members : tuple of Member
        The runs that answer.
    parts : dict of str
        File of each fitted part, ``<stage>/<file>``, by the digest of what it is part of.
    digests : dict of str
        BLAKE2b of each file.
    provenance : dict
        Versions and commit that assembled it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: dict[str, Any]
    classes: tuple[str, ...]
    folds: tuple[str, ...]
    positive: str | None = None
    members: tuple[Member, ...]
    parts: dict[str, str]
    digests: dict[str, str]
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _files_stay_inside(self) -> "Recognizer":
        for file in self.digests:
            if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or len(Path(file).parts) != 2:
                raise ValueError(f"{file!r} leads out of the recognizer's folder")
        if unknown := set(self.parts.values()) - self.digests.keys():
            raise ValueError(f"{min(unknown)} has no digest")
        if not all(0 <= member.fold < len(self.folds) for member in self.members) or not self.members:
            raise ValueError("a member is of no fold, or there is none")
        return self

    @property
    def threshold(self) -> float | None:
        """Probability from which on the positive class is detected: the mean of the members' thresholds."""
        known = [member.threshold for member in self.members if member.threshold is not None]
        return sum(known) / len(known) if known else None

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that may change an answer: 12 hexadecimal digits."""
        return short_digest(self.model_dump(mode="json", exclude={"provenance"}))


def digest(file: Path) -> str:
    """Return the BLAKE2b of a file, 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return file_digest(opened, lambda: blake2b(digest_size=32)).hexdigest()


def assemble(recognizers: Path, contents: Recognizer, files: Mapping[str, Path]) -> Path:
    """Make the folder of a recognizer, below ``recognizers``, and return it; files are linked where that is possible.

    Parameters
    ----------
    recognizers
        Folder of all recognizers in a store.
    contents
        What it consists of.
    files
        The file to take for each name in ``contents.digests``.
    """
    folder = recognizers / contents.fingerprint
    for name, source in files.items():
        if not (folder / name).exists():
            copy(source, folder / name)
    if not (folder / TABLE).exists():  # last: the table says that all is there
        write_record(folder / TABLE, contents.model_dump(mode="json"))
    return folder


@lru_cache(maxsize=8)  # a folder is named by its content, and asked for its parts thousands of times
def read(folder: Path) -> Recognizer:
    """Read the contents of a recognizer's folder. A damaged table is set aside, and DamagedStore raised."""
    return read_record(folder / TABLE, Recognizer)


def is_whole(folder: Path) -> bool:
    """Return whether all files of a recognizer are there. A damaged table is set aside, and DamagedStore raised."""
    return (folder / TABLE).exists() and all((folder / name).exists() for name in read(folder).digests)


def is_packed(path: Path) -> bool:
    """Return whether a file is a ZIP archive, as a packed recognizer is."""
    return path.is_file() and zipfile.is_zipfile(path)


def pack(folder: Path, out: Path) -> None:
    """Write a recognizer's folder into one file, atomically; the same folder gives the same bytes."""
    names = [TABLE, *sorted(read(folder).digests)]
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            with (folder / name).open("rb") as source, archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as to:
                shutil.copyfileobj(source, to, _BLOCK_BYTES)


def holds(file: Path, folder: Path) -> bool:
    """Return whether a file is that recognizer, packed whole."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None and archive.read(TABLE) == (folder / TABLE).read_bytes()
    except (OSError, zipfile.BadZipFile, KeyError):
        return False


def unpack(file: Path, recognizers: Path) -> Path:
    """Make the folder of a packed recognizer, below ``recognizers``, and return it.

    Raises
    ------
    InputError
        Where the file is no packed recognizer, or damaged; it says which part.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _unpacked(archive, recognizers)
    except (zipfile.BadZipFile, ValidationError, ValueError, KeyError, EOFError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{file} is no whole recognizer ({reason}); one that kinescope pack wrote is needed") from None


def _unpacked(archive: zipfile.ZipFile, recognizers: Path) -> Path:
    contents = parse_record(archive.read(TABLE), Recognizer)
    folder = recognizers / contents.fingerprint
    for name, expected in contents.digests.items():
        if (folder / name).exists():
            continue
        with archive.open(name) as source, atomic_path(folder / name) as temporary:
            with temporary.open("wb") as to:
                shutil.copyfileobj(source, to, _BLOCK_BYTES)
            if digest(temporary) != expected:
                raise ValueError(f"{name} is not as it was packed")
    write_record(folder / TABLE, contents.model_dump(mode="json"))
    return folder
