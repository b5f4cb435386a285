"""Extracts the features of given videos alone, without labels or an experiment."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import luigi
from pydantic import BaseModel, ConfigDict

from data.given import Given, gather
from extractors.base import Extractor
from pipeline.errors import InputError
from pipeline.files.atomic import copy
from pipeline.files.records import load_record, write_record
from pipeline.files.user_input import resolve
from pipeline.rows import Failure
from tasks import settings
from tasks.announced import Announced
from tasks.base import ConfigParameter, Stage
from tasks.features import AnyExtractor, Extract, extract
from tasks.given_videos import Paths, as_dataset
from tasks.index import index
from tasks.pretrained_weights import locate_weights
from tasks.quantities import format_count

RECORD = "extraction.json"
"""Name of the record of what was written into a folder."""
_SHARE = re.compile(r"(?P<number>\d+)/(?P<count>\d+)")


class Features(Announced):
    """Extract the features of given videos into the store, and from there into a folder.

    Videos that cannot be used are listed, and the others go on.
    """

    extractor = ConfigParameter[Extractor](AnyExtractor, description="the extractor, in JSON")
    videos = Paths(description="paths of videos, folders, patterns of them, and CSV files that list them, in JSON")
    out = luigi.Parameter(description="folder of the features")
    format = luigi.ChoiceParameter(
        default="h5", choices=["h5", "npy"], description="h5: the store's own files; npy: one file for each array"
    )
    share = luigi.Parameter(
        default="1/1",
        description="the part of the shards that is computed, such as 2/8; the last to end writes out",
    )
    fps = luigi.OptionalFloatParameter(
        default=None, description="frames a second of videos that are folders of numbered pictures"
    )

    @cached_property
    def given(self) -> Given:
        """The videos as a data set."""
        return as_dataset(gather(self.videos, frozenset({self.extractor.reads}), self.fps))  # type: ignore[arg-type]

    @property
    def stage(self) -> Extract:
        """Extraction of all of the videos."""
        return extract(self.given, self.extractor, None)

    def needed(self) -> Iterator[Any]:
        """Yield the index, then the shards of this share, and where all of them are there what links them."""
        yield index(self.given, [self.extractor])
        if not self.stage.complete():
            self.extractor.located(locate_weights).check_files()
        yield self._share()
        if self._is_last():
            yield self.stage

    def up_to_date(self) -> bool:
        if not self.is_computed():
            return False
        allowed = settings.current().max_failed_videos
        return not self._is_last() or (self._is_written() and len(self._failures()) <= allowed)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self._folder()))

    def run(self) -> Iterator[Any]:
        yield from self.read_when_complete(self.needed, self._write)
        if self._is_last():
            self.allow(self._failures(), f"{self._folder()} holds the others")

    def _share(self) -> list[Stage]:
        share = _SHARE.fullmatch(self.share)
        if share is None or not 1 <= int(share["number"]) <= int(share["count"]):
            raise InputError(f"share = {self.share!r}; a number and how many there are is needed, from 1/8 to 8/8")
        return list(self.stage.requires()[int(share["number"]) - 1 :: int(share["count"])])

    def _is_last(self) -> bool:
        return all(shard.complete() for shard in self.stage.requires())

    def _folder(self) -> Path:
        return resolve(self.out)

    @property
    def _written(self) -> "_Written":
        stage = self.stage
        return _Written(format=self.format, fingerprint=stage.fingerprint, index=stage.path().name)

    def _is_written(self) -> bool:
        return _record(self._folder()) == self._written

    def _write(self) -> None:
        if not self._is_last():
            return
        folder, stage, earlier = self._folder(), self.stage, _record(self._folder())
        if earlier is not None and (earlier.format, earlier.fingerprint) != (self.format, stage.fingerprint):
            raise InputError(f"{folder} holds features of another extractor, or in another format; name a new folder")
        if self.format == "npy":
            from tasks.commands.export import export

            export(stage.folder, folder)
        else:
            for shard in stage.requires():
                copy(shard.path(), folder / shard.path().name)
            copy(stage.path(), folder / "index.h5")
        write_record(folder / RECORD, self._written.model_dump())

    def _failures(self) -> dict[str, Failure]:
        from pipeline.store import Store

        return Store(self.stage.path()).failures()

    def summary(self) -> str:
        """Say how many videos have features, and where they are."""
        from pipeline.store import Store

        if not self._is_last():
            return f"share {self.share} is done; the last one to end writes {self._folder()}"
        count = len(Store(self.stage.path()).ids())
        return f"features of {format_count(count, 'video')}: {self._folder()}"


class _Written(BaseModel):
    """Record of what a folder holds, written last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    fingerprint: str
    index: str


def _record(folder: Path) -> _Written | None:
    """Return what a folder says that it holds; None where it says nothing, or nothing that can be read."""
    try:
        return load_record(folder / RECORD, _Written)
    except (OSError, ValueError):
        return None
