"""Anybody's own data: a CSV manifest, or one folder a class."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from data.base import Dataset, Fold, Listing, Video, by_id
from data.manifest import COLUMNS, Example, modality, read
from data.protocols import Side, divided, stratified_trials, subject_trials
from pipeline.errors import InputError
from pipeline.fingerprint import short_digest

Protocol = Literal["split_column", "by_subject", "stratified"]
_DRAWN = {"by_subject": subject_trials, "stratified": stratified_trials}


class Folder(Dataset):
    """Videos, or skeleton files (.txt), that somebody has labelled.

    With a manifest, each line is a video or a segment of one; ``data.manifest`` tells the columns. Without, each
    folder in the root is a class, and holds its files. A video and a skeleton file with the same id belong together.

    An id is the path below the root without the extension (of a file elsewhere the whole path), with "@start-end" for
    a segment. Segments of one file have that file as their subject where the manifest names no subjects.

    The protocol, where it is None: the manifest's column ``split``, or else by subject, or else stratified by class.
    """

    name: Literal["folder"] = "folder"
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"protocol", "test_fraction", "trials", "protocol_seed"})

    root: str = Field(min_length=1, description="relative to the working directory")
    manifest: str | None = Field(None, description="relative to the root; None: manifest.csv, where that is there")
    protocol: Protocol | None = None
    test_fraction: float = Field(0.3, gt=0, lt=1, description="of the subjects, or of each class's videos")
    trials: PositiveInt = Field(1, description="random divisions")
    protocol_seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_division_by_column(self) -> Self:
        if self.protocol == "split_column" and self.trials > 1:
            raise ValueError("trials divide at random, a split column but once: leave trials out")
        return self

    @property
    def location(self) -> Path:
        """The root, absolute."""
        return Path(self.root).expanduser().resolve()

    @property
    def store_name(self) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", self.location.name.lower()).strip("-")
        return "-".join(filter(None, (self.name, slug, short_digest([str(self.location), self.manifest])[:6])))

    def listing(self, root: Path) -> Listing:
        """All examples; classes in the order of their names. Raises InputError that says what is wrong where."""
        examples = self._examples(root.resolve())
        classes = tuple(sorted({example.label for example in examples}))
        if len(classes) < 2:
            found = f"only {classes[0]!r}" if classes else "no videos at all"
            hint = "" if self._manifest(root) else "; each class's videos lie in a folder of their own"
            raise InputError(f"{root}: two classes or more are needed, there are {found}{hint}")
        return Listing(classes, by_id(_videos(examples, {label: (n,) for n, label in enumerate(classes)})))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """The split of the manifest's column, or trials drawn at random. Raises InputError where a half is empty."""
        sides = self._sides(root.resolve())
        protocol = self.protocol or _natural(listing, bool(sides))
        if protocol in _DRAWN:
            return _DRAWN[protocol](listing, self.test_fraction, self.trials, self.protocol_seed)
        if self.trials > 1:
            raise InputError("trials divide at random, the manifest's column split but once: leave trials out")
        undecided = [video.id for video in listing.videos if video.id not in sides]
        if undecided:
            raise InputError(f"{root}: no split is given for {undecided[0]}; a manifest with a column split is needed")
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def _sides(self, root: Path) -> dict[str, Side]:
        """By id, what the manifest's column split says. Folders of classes say nothing."""
        manifest = self._manifest(root)
        return {example.id: example.split for example in read(manifest, root) if example.split} if manifest else {}

    def _manifest(self, root: Path) -> Path | None:
        path = root / (self.manifest or "manifest.csv")
        return path if self.manifest or path.exists() else None

    def _examples(self, root: Path) -> list[Example]:
        manifest = self._manifest(root)
        if manifest:
            return read(manifest, root)
        folders = [Path(entry.path) for entry in _visible(root) if entry.is_dir()]
        return [example for folder in folders for example in _labelled_by_folder(folder)]


def _natural(listing: Listing, has_splits: bool) -> Protocol:
    if has_splits:
        return "split_column"
    return "by_subject" if any(video.subject for video in listing.videos) else "stratified"


def _labelled_by_folder(folder: Path) -> list[Example]:
    examples = []
    for entry in _visible(folder):
        path = Path(entry.path)
        if entry.is_dir():
            raise InputError(f"{path}: a folder in a class's folder; the files must lie in it directly, or a manifest "
                             f"with the columns {', '.join(COLUMNS)} must list them")  # fmt: skip
        if kind := modality(path):
            examples.append(Example(str(path), f"{folder.name}/{path.stem}", path, kind, folder.name))
    if not examples:
        raise InputError(f"{folder}: no video or .txt skeleton file in it; each folder in the root must be a class")
    return examples


def _visible(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; a readable folder is needed") from None


def _videos(examples: Iterable[Example], labels: Mapping[str, tuple[int, ...]]) -> list[Video]:
    """One video an id. Raises InputError where its examples disagree, or some lack a kind of file that others have."""
    together: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        together[example.id].append(example)
    first_kinds = [example.modality for example in next(iter(together.values()))]
    videos = []
    for same in together.values():
        first = same[0]
        for other in same[1:]:
            if other.modality in [example.modality for example in same if example is not other]:
                raise InputError(f"{other.place}: {other.id!r} is there twice, first at {first.place}")
            if (other.label, other.subject, other.split) != (first.label, first.subject, first.split):
                raise InputError(f"{other.place}: label, subject or split of {other.id!r} differ from {first.place}")
        files = {example.modality: example.path for example in same}
        if files.keys() != set(first_kinds):
            raise InputError(f"{first.place}: {' and '.join(files)} of {first.id!r}, where the first example has "
                             f"{' and '.join(first_kinds)}; all must have the same")  # fmt: skip
        videos.append(Video(first.id, files, labels[first.label], first.subject, first.frames))
    return videos
