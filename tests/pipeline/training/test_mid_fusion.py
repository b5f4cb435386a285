"""Mid fusion: inputs are joined by video, step by step, and what does not fit says what would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store
from pipeline.store.journal import Journal
from pipeline.store.seal import seal
from pipeline.training.mid_fusion import Join, join
from pipeline.training.sequences import Source, StoredRows, sequences, usable
from pipeline.video.sampling import resample
from tasks.experiment import AnyStream, JoinedStream, Stream

LABELS = {video: (number,) for number, video in enumerate("abcd")}


def features(video: str, salt: int, steps: int = 6, width: int = 3) -> np.ndarray:
    return np.random.default_rng([ord(video), salt]).normal(size=(steps, width)).astype(np.float32)


def stored(folder: Path, salt: int, videos: str, failed: str = "", steps: int = 6, width: int = 3) -> Store:
    """A shard with the videos in their order."""
    journal, path = Journal(folder / f"journal-{salt}"), folder / f"{salt}.h5"
    keys = [Keys(video, f"digest-of-{video}", (f"{video}-{salt}",)) for video in videos + failed]
    for key in keys:
        if key.id in failed:
            journal.fail(key, Failure("no frame decodes", 0))
        else:
            journal.write(key, [Row({"features": features(key.id, salt, steps, width)}, {"frames": steps})])
    seal(path, keys, {key.name: journal.path(key) for key in keys}, {})
    return Store(path)


def joined(stores: Mapping[str, Store], videos: str, rule: Join, steps: int | None = None) -> list[np.ndarray]:
    left = usable(stores, list(videos))
    sources = [Source(name, StoredRows(store, left), "features", lambda array: array) for name, store in stores.items()]
    return sequences(sources, LABELS, 2, steps=steps, join_by=rule).inputs


@pytest.mark.parametrize(("rule", "by_hand"), [("sum", np.add), ("product", np.multiply)])
def test_rules_by_hand(rule: Join, by_hand: Any) -> None:
    one, other, third = (features("a", salt) for salt in (1, 2, 3))
    np.testing.assert_array_equal(join(rule, {"x": one, "y": other}), by_hand(one, other))
    np.testing.assert_array_equal(join(rule, {"x": one, "y": other, "z": third}), by_hand(by_hand(one, other), third))
    neutral = np.zeros_like(one) if rule == "sum" else np.ones_like(one)
    np.testing.assert_array_equal(join(rule, {"x": one, "y": neutral}), one)


def test_joined_by_video_whatever_the_order_in_the_stores(tmp_path: Path) -> None:
    stores = {"rgb": stored(tmp_path, 1, "abcd"), "flow": stored(tmp_path, 2, "dbca", steps=9)}
    found = joined(stores, "cabd", "product", steps=4)
    for video, sequence in zip("cabd", found, strict=True):
        one, other = features(video, 1), features(video, 2, steps=9)
        np.testing.assert_array_equal(sequence, one[resample(6, 4)] * other[resample(9, 4)])


def test_what_failed_in_one_input_failed_in_the_stream(tmp_path: Path) -> None:
    stores = {"rgb": stored(tmp_path, 1, "abc", failed="d"), "flow": stored(tmp_path, 2, "acd", failed="b")}
    assert usable(stores, ["d", "c", "b", "a"]) == ["c", "a"]
    np.testing.assert_array_equal(joined(stores, "dcba", "sum")[0], features("c", 1) + features("c", 2))


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    stores = {"rgb": stored(tmp_path, 1, "abcd"), "flow": stored(tmp_path, 2, "abd")}
    with pytest.raises(InputError, match="flow lacks video 'c'"):
        usable(stores, list("abcd"))
    assert usable(stores, list("abd")) == list("abd")


def test_other_widths_and_lengths_say_what_would_be_right(tmp_path: Path) -> None:
    one = stored(tmp_path, 1, "ab")
    with pytest.raises(InputError, match=r"^b: rgb has 3 features and flow 5: .* same dims"):
        joined({"rgb": one, "flow": stored(tmp_path, 2, "ab", width=5)}, "b", "sum")
    longer = {"rgb": one, "flow": stored(tmp_path, 3, "ab", steps=7)}
    with pytest.raises(InputError, match=r"^a: rgb has 6 steps and flow 7: give the model steps"):
        joined(longer, "ab", "sum")
    assert [len(sequence) for sequence in joined(longer, "ab", "sum", steps=5)] == [5, 5]


def test_other_numbers_of_copies_are_an_error(tmp_path: Path) -> None:
    journal, path, keys = Journal(tmp_path / "journal"), tmp_path / "two.h5", Keys("a", "digest", ("a-0", "a-1"))
    journal.write(keys, [Row({"features": features("a", salt)}, {}) for salt in (0, 1)])
    seal(path, [keys], {keys.name: journal.path(keys)}, {})
    with pytest.raises(InputError, match="rgb and flow have different numbers of augmented copies"):
        joined({"rgb": Store(path), "flow": stored(tmp_path, 1, "a")}, "a", "sum")


MODEL = {"name": "drnn", "fit": {"epochs": 1}}
SKELETON = {"extractor": {"name": "skeleton"}, "reducer": {"dims": 4}}


def test_a_stream_has_an_extractor_or_a_join_of_several() -> None:
    single = parse(AnyStream, {**SKELETON, "model": MODEL})
    assert isinstance(single, Stream)
    assert (single.join, single.title, len(single.inputs)) == (None, "skeleton + drnn", 1)
    assert single.inputs[0].reducer == single.reducer
    several = parse(AnyStream, {"join": "product", "inputs": [SKELETON, SKELETON], "model": MODEL})
    assert isinstance(several, JoinedStream)
    assert several.title == "skeleton ⊙ skeleton + drnn"
    assert parse(AnyStream, several.model_dump(mode="json")) == several


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"join": "sum", "inputs": [SKELETON]}, "inputs: .*at least 2 items"),
        ({"join": "mean", "inputs": [SKELETON, SKELETON]}, "join: .*'sum' or 'product'"),
        ({"inputs": [SKELETON, SKELETON]}, "join: Field required"),
        ({"join": "sum"}, "inputs: Field required"),
        ({"join": "sum", "inputs": [SKELETON, SKELETON], **SKELETON}, "not both"),
        ({}, "extractor: Field required"),
        ({**SKELETON, "joint": 1}, "unknown field of Stream 'joint'"),
    ],
)
def test_mistakes_in_streams_say_what_would_be_right(table: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(AnyStream, {**table, "model": MODEL})
