"""One contract for all data sets."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data import DATASETS
from data.base import Dataset, Listing
from pipeline.config import one_of, parse
from pipeline.errors import InputError
from tests.support.paths import ROOT
from tests.support.toy_datasets import (
    TOYS,
)


@pytest.fixture(params=sorted(DATASETS))
def toy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Dataset, Path]:
    if request.param not in TOYS:
        pytest.fail(f"a toy copy of {request.param} is needed in TOYS")
    root = tmp_path / "root"
    root.mkdir()
    return TOYS[request.param](root), root


class TestContract:
    def test_registered_under_its_own_name(self, toy: tuple[Dataset, Path]):
        config, _ = toy
        assert type(config) is DATASETS[config.name]
        assert parse(one_of(DATASETS, "data set"), json.loads(config.canonical())) == config
        assert type(config).protocol_fields < set(type(config).model_fields)
        assert "/" not in config.store_name
        assert config.store_name.startswith(config.name)

    def test_listing(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        ids = [video.id for video in listing.videos]
        assert ids == sorted(set(ids))
        assert len(set(listing.classes)) == len(listing.classes) >= 2
        for video in listing.videos:
            assert video.files
            assert set(video.files) <= {"video", "skeleton"}
            assert all(path.is_absolute() and path.is_file() for path in video.files.values())
            assert all(0 <= label < len(listing.classes) for label in video.labels)
            assert video.labels
            assert video.frames is None or 0 <= video.frames[0] < video.frames[1]
            assert not {"", ".", ".."} & set(video.id.split("/"))

    def test_folds(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        folds = config.folds(root, listing)
        assert len({fold.name for fold in folds}) == len(folds) > 0
        for fold in folds:
            assert list(fold.train) == sorted(set(fold.train))
            assert list(fold.test) == sorted(set(fold.test))
            assert fold.train
            assert fold.test
            assert not set(fold.train) & set(fold.test)
            assert set(fold.train) | set(fold.test) <= {video.id for video in listing.videos}
        assert config.folds(root, listing) == folds
        assert config.folds(root, Listing(listing.classes, listing.videos[::-1])) == folds

    def test_folds_read_only_the_files_that_say_how_videos_are_divided(
        self, toy: tuple[Dataset, Path], monkeypatch: pytest.MonkeyPatch
    ):
        config, root = toy
        listing, plain, read = config.listing(root), io.open, set[Path]()

        def noting(file: Any, *arguments: Any, **named: Any) -> Any:
            read.add(Path(file))
            return plain(file, *arguments, **named)

        monkeypatch.setattr(io, "open", noting)
        config.folds(root, listing)
        assert {path for path in read if path.is_relative_to(root)} <= set(config.split_files(root))
        assert bool(read) == (config.name in ("act", "fcvid", "folder", "hmdb51", "ucf101"))

    def test_subjects_stay_on_one_side(self, toy: tuple[Dataset, Path]):
        config, root = toy
        listing = config.listing(root)
        subject = {video.id: video.subject for video in listing.videos}
        assert len({bool(known) for known in subject.values()}) == 1  # all, or nothing tells who or whence a video is
        for fold in config.folds(root, listing):
            assert not {subject[id] or id for id in fold.train} & {subject[id] or id for id in fold.test}

    def test_protocol_does_not_change_the_videos(self, toy: tuple[Dataset, Path]):
        config, root = toy
        plain = config.without_protocol()
        assert plain.without_protocol() == plain
        assert plain.listing(root) == config.listing(root)
        assert plain.store_name == config.store_name

    def test_a_missing_file_is_counted(self, toy: tuple[Dataset, Path]):
        config, root = toy
        whole = config.listing(root)
        next(iter(whole.videos[0].files.values())).unlink()
        with pytest.raises(InputError, match=r"\b1 of \d+ "):
            config.listing(root)
        if "present_only" in type(config).model_fields:
            partial = config.model_copy(update={"present_only": True}).listing(root)
            assert partial.videos == whole.videos[1:]

    def test_root_may_be_a_link(self, toy: tuple[Dataset, Path], tmp_path: Path):
        config, root = toy
        (tmp_path / "link").symlink_to(root)
        assert config.listing(tmp_path / "link") == config.listing(root)

    def test_nothing_there(self, toy: tuple[Dataset, Path], tmp_path: Path):
        config, _ = toy
        (tmp_path / "empty").mkdir()
        for table in (config, config.model_copy(update={"present_only": True})):
            with pytest.raises(InputError):
                table.listing(tmp_path / "empty")


@pytest.mark.parametrize("name", DATASETS)
def test_it_says_where_it_is_had(name: str):
    kind = DATASETS[name]
    published = kind.publication
    assert published.title
    assert published.licence
    assert published.access.endswith(".")
    numbers = published.videos, published.classes
    assert bool(published.homepage) == all(numbers) == (name not in ("folder", "stick_figures"))
    assert published.homepage.startswith("https://") or not published.homepage
    documentation = kind.__doc__ or ""
    assert ("References\n    ----------\n" in documentation) == (name != "folder")


def test_import_is_light():
    heavy = "{'torch', 'cv2', 'av', 'h5py', 'sklearn', 'matplotlib', 'luigi'}"
    code = f"import data, sys; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
