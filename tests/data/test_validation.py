"""Parts of the training videos to choose on: what they hold, and what they never hold."""

from collections import Counter
from pathlib import Path

import pytest

from data.base import Dataset, Fold, Listing, Video
from data.folder import Folder
from data.validation import Validation
from pipeline.config import parse
from pipeline.errors import InputError
from tasks.index import AnyDataset
from tests.support.toy_datasets import TOYS


class Given(Folder):
    """Videos "<class>/<group>/<n>" in one fold."""

    train: tuple[str, ...]
    test: tuple[str, ...] = ("x/tested/0",)
    grouped: bool = True

    def listing(self, root: Path) -> Listing:
        def video(id: str) -> Video:
            name, group, _ = id.split("/")
            return Video(id, {}, ("xyz".index(name),), f"{name}/{group}" if self.grouped else "")

        return Listing(("x", "y", "z"), tuple(map(video, sorted(self.train + self.test))))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        return (Fold("split 1", self.train, self.test),)


def part(dataset: Dataset, share: float = 0.2, seed: int = 0, root: Path = Path()) -> tuple[Fold, ...]:
    listing = dataset.listing(root)
    return Validation.model_construct(of=dataset, share=share, seed=seed).folds(root, listing)


def given(names: str = "xyz", groups: int = 10, videos: int = 3, *, grouped: bool = True) -> Given:
    ids = sorted(f"{name}/g{group}/{n}" for name in names for group in range(groups) for n in range(videos))
    return Given(root=".", train=tuple(ids), grouped=grouped)


@pytest.mark.parametrize("name", sorted(TOYS))
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_no_test_video_and_no_group_on_both_sides(name: str, share: float, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    config = TOYS[name](root)
    listing = config.listing(root)
    subject = {video.id: video.subject for video in listing.videos}
    whole, parts = config.folds(root, listing), part(config, share, root=root)
    assert len(parts) == len(whole)
    for fold, inner in zip(whole, parts, strict=True):
        assert {*inner.train, *inner.test} == set(fold.train)
        assert inner.train
        assert inner.test
        assert not {subject[id] or id for id in inner.train} & {subject[id] or id for id in inner.test}
        assert not {*inner.train, *inner.test} & set(fold.test)


def test_classes_have_their_share() -> None:
    (fold,) = part(given())
    assert len(fold.test) == 18
    assert Counter(id.split("/")[0] for id in fold.test) == {"x": 6, "y": 6, "z": 6}
    assert all(len({id for id in fold.test if id.startswith(group)}) == 3 for group in {id[:4] for id in fold.test})
    (fold,) = part(given(groups=10, videos=1, grouped=False), share=0.3)
    assert Counter(id.split("/")[0] for id in fold.test) == {"x": 3, "y": 3, "z": 3}


def test_another_seed_is_another_part_and_the_order_of_videos_is_nothing() -> None:
    assert part(given()) == part(given())
    assert part(given(), seed=1) != part(given())
    dataset = given()
    shuffled = dataset.model_copy(update={"train": dataset.train[::-1]})
    assert part(shuffled) == part(dataset)


def test_a_single_group_leaves_no_part() -> None:
    with pytest.raises(InputError, match="split 1 has only one group to train on, 'x/g0'"):
        part(given("x", groups=1))
    (fold,) = part(given("x", groups=2), share=0.01)
    assert len(fold.test) == 3
    (fold,) = part(given("x", groups=2), share=0.99)
    assert len(fold.train) == 3


def test_it_is_the_data_set_where_nothing_is_fitted() -> None:
    config = parse(AnyDataset, {"name": "validation", "of": {"name": "ucf101", "split": 2}})
    assert parse(AnyDataset, config.model_dump(mode="json")) == config
    assert config.store_name == "ucf101"
    assert config.without_protocol() == parse(AnyDataset, {"name": "ucf101"})
    assert config.groups == config.of.groups
    with pytest.raises(InputError, match=r"of: .*table with a name is needed|of: unknown data set"):
        parse(AnyDataset, {"name": "validation", "of": {"name": "validation"}})
