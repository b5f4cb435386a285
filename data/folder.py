"""A user's own data: a CSV manifest, or one folder for each class."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.base import Dataset, Fold, Listing, Video, by_id
from data.class_folders import read_class_folders
from data.manifest import Example, Examples, read_existing, side
from data.protocols import Side, divided, stratified_trials, subject_trials
from data.publication import Publication
from pipeline.config import Few, Seed
from pipeline.errors import InputError
from pipeline.files.numbered_pictures import Rate
from pipeline.files.user_input import resolve
from pipeline.fingerprint import short_digest

Protocol = Literal["split_column", "by_subject", "stratified"]
_DRAWN = {"by_subject": subject_trials, "stratified": stratified_trials}


class Folder(Dataset):
    """A user's own videos, or skeleton files (.txt or .skeleton), with labels.

    A video is a file, or a folder of numbered pictures.

    With a manifest, each line is a video or a segment of one; its first line names its columns, path and label and, if
    you like, subject, split (train, test or val), start_frame and end_frame (counted from 0, the end not included).
    Paths are below the root, or absolute. Without a manifest, each folder in the root is a class, and holds its files.
    A video and a skeleton file with the same id belong together.

    An id is the path below the root without the extension (for a file elsewhere the whole path), with "@start-end" for
    a segment. Where files differ in nothing but the extension, their ids have it, too. Segments of one file have that
    file as their subject where the manifest names no subjects.
    """

    name: Literal["folder"] = "folder"
    publication: ClassVar[Publication] = Publication(
        title="your own videos",
        access="Put the videos of each class into a folder of its own, or write a manifest.csv, and name the folder "
        "that holds all of it in the recipe, as root.",
        licence="yours to know",
    )
    protocol_fields: ClassVar[frozenset[str]] = frozenset(
        {"protocol", "test_fraction", "trials", "protocol_seed", "train_on_validation"}
    )
    added: ClassVar[frozenset[str]] = frozenset({"train_on_validation", "fps"})

    root: str = Field(min_length=1, description="folder of the data, relative to the working directory")
    manifest: str | None = Field(
        None, description="the manifest's path, relative to the root; None: manifest.csv, where that exists"
    )
    protocol: Protocol | None = Field(
        None,
        description='"split_column": the manifest\'s column split; "by_subject": subjects drawn at random; '
        '"stratified": videos of each class drawn at random; None: the first of these that the data allow',
    )
    test_fraction: float = Field(
        0.3, gt=0, lt=1, description="fraction of the subjects, or of each class, that is tested"
    )
    trials: Few = Field(1, description="number of random divisions")
    protocol_seed: Seed = Field(0, description="seed of the random divisions")
    train_on_validation: bool = Field(
        False, description="train as well on what the manifest's column split says is for validation"
    )
    fps: Rate | None = Field(
        None,
        description="frames a second of videos that are folders of numbered pictures, which do not say it themselves",
    )

    @model_validator(mode="after")
    def _fields_of_one_protocol(self) -> Self:
        if self.protocol == "split_column" and self.trials > 1:
            raise ValueError("trials are random divisions, and a split column gives only one: leave trials out")
        if self.protocol in _DRAWN and self.train_on_validation:
            raise ValueError("train_on_validation belongs to protocol = 'split_column'; leave it out with another")
        return self

    @cached_property
    def location(self) -> Path:
        """Absolute path of the root."""  # asked for thousands of times in a run
        return resolve(self.root)

    @property
    def pictures_fps(self) -> float | None:
        return self.fps

    @property
    def divided_by_user(self) -> bool:
        return True

    @property
    def store_name(self) -> str:
        manifest = "" if self.manifest is None else short_digest(self.manifest)
        rate = "" if self.fps is None else f"{self.fps!r}fps"  # its index holds it, beside each video
        return "-".join(filter(None, (self.name, self._slug, manifest, rate)))

    @property
    def former_store_name(self) -> str:
        digest = short_digest([str(self.location), self.manifest])[:6]
        return "-".join(filter(None, (self.name, self._slug, digest)))

    @property
    def _slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.location.name.lower()).strip("-")

    def listing(self, root: Path) -> Listing:
        """List all examples; classes are in the order of their names.

        Raises
        ------
        InputError
            Where there are fewer than two classes, or a file or line is wrong; it names the file or line.
        """
        examples, remarks = self._examples(root.resolve())
        classes = tuple(sorted({example.label for example in examples}))
        if len(classes) < 2:
            found = f"there is only {classes[0]!r}" if classes else "there are no videos"
            hint = "" if self._manifest(root) else "; the videos of each class must lie in a folder of their own"
            raise InputError(f"{root}: {found}, and two classes or more are needed{hint}")
        self._check_fps(examples)
        videos = _videos(examples, {label: (n,) for n, label in enumerate(classes)}, self.fps)
        return Listing(classes, by_id(videos), remarks)

    def split_files(self, root: Path) -> list[Path]:
        return list(filter(None, [self._manifest(root.resolve())]))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return the split of the manifest's column, or trials drawn at random.

        Raises
        ------
        InputError
            Where a half is empty, or a video has no side.
        """
        sides = self._sides(root.resolve())
        protocol = self.protocol or _natural(listing, bool(sides))
        if protocol in _DRAWN:
            if self.train_on_validation:
                raise InputError("train_on_validation needs a manifest with the column split: leave it out")
            return _DRAWN[protocol](listing, self.test_fraction, self.trials, self.protocol_seed)
        if self.trials > 1:
            raise InputError(
                "trials are random divisions, and the manifest's column split gives only one: leave trials out"
            )
        undecided = [video.id for video in listing.videos if video.id not in sides]
        if undecided:
            raise InputError(f"{root}: {undecided[0]} has no split; a manifest with the column split is needed")
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def _check_fps(self, examples: Iterable[Example]) -> None:
        """Raise InputError where folders of pictures have no times, or files would get others than their own."""
        of_pictures = next((example for example in examples if example.of_pictures), None)
        if of_pictures is not None and self.fps is None:
            raise InputError(
                f"{of_pictures.path}: pictures do not say how many of them are shown in a second: give the data set "
                "fps, such as fps = 25"
            )
        if of_pictures is None and self.fps is not None:
            raise InputError("fps is that of videos that are folders of pictures, and all are files: leave it out")

    def _sides(self, root: Path) -> dict[str, Side]:
        """Return the sides of the manifest's column split by id; without a manifest there are none."""
        manifest = self._manifest(root)
        examples = read_existing(manifest, root).examples if manifest else []
        return {example.id: half for example in examples if (half := side(example, self.train_on_validation))}

    def _manifest(self, root: Path) -> Path | None:
        path = root / (self.manifest or "manifest.csv")
        return path if self.manifest or os.path.lexists(path) else None

    def _examples(self, root: Path) -> Examples:
        manifest = self._manifest(root)
        return read_existing(manifest, root) if manifest else read_class_folders(root)


def _natural(listing: Listing, has_splits: bool) -> Protocol:
    if has_splits:
        return "split_column"
    return "by_subject" if any(video.subject for video in listing.videos) else "stratified"


def _videos(examples: Iterable[Example], labels: Mapping[str, tuple[int, ...]], fps: float | None) -> list[Video]:
    """Join the examples of each id to one video; fps: that of folders of pictures.

    Raises InputError where they disagree, or some ids lack a kind of file that others have.
    """
    together: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        together[example.id].append(example)
    first_kinds = [example.modality for example in next(iter(together.values()))]
    videos = []
    for same in together.values():
        first = same[0]
        for other in same[1:]:
            if other.modality in [example.modality for example in same if example is not other]:
                raise InputError(
                    f"{other.place}: {other.id!r} is listed a second time; it was first listed at {first.place}"
                )
            if (other.label, other.subject, other.split) != (first.label, first.subject, first.split):
                raise InputError(f"{other.place}: label, subject or split of {other.id!r} differs from {first.place}")
        files: dict[str, Path] = {example.modality: example.path for example in same}
        if files.keys() != set(first_kinds):
            raise InputError(f"{first.place}: {first.id!r} has {' and '.join(files)}, and the first example "
                             f"{' and '.join(first_kinds)}; all need the same kinds of files")  # fmt: skip
        shown = fps if any(example.of_pictures for example in same) else None
        videos.append(Video(first.id, files, labels[first.label], first.subject, first.frames, fps=shown))
    return videos
