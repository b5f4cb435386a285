"""Weights chosen on validation videos: laws of the choice, and of the videos it is made on."""

from collections.abc import Sequence
from itertools import permutations
from math import comb
from typing import Any

import numpy as np
import pytest

from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import fuse
from pipeline.scoring.metrics import accuracy
from pipeline.scoring.scores import Scores
from pipeline.scoring.weight_search import choose, simplex

CLASSES = ("x", "y", "z")
IDS = tuple("abcdefghijkl")
LABELS = {id: (number % 3,) for number, id in enumerate((*IDS, "broken"))}


def scores(seed: int, skill: float = 1.0, ids: Sequence[str] = IDS, failed: Sequence[str] = ()) -> Scores:
    """Random logits of which the true class's are raised; of an id always the same."""
    rows = [np.random.default_rng([seed, *id.encode()]).normal(size=3) + skill * np.eye(3)[LABELS[id][0]] for id in ids]
    return Scores(tuple(ids), np.array(rows), "logits", CLASSES, tuple(failed))


def by(rule: str, parts: int = 10, **more: Any) -> Fusion:
    fusion: Fusion = parse(Fusion, {"rule": rule, "choose": {"validation": 0.2, "parts": parts}, **more})
    return fusion


@pytest.mark.parametrize(("streams", "parts"), [(1, 4), (2, 20), (3, 7), (4, 5)])
def test_the_simplex_is_whole(streams: int, parts: int) -> None:
    points = list(simplex(streams, parts))
    assert len(set(points)) == len(points) == comb(parts + streams - 1, streams - 1)
    assert all(min(point) >= 0 and sum(point) == parts for point in points)


@pytest.mark.parametrize("rule", ["weighted", "l1"])
def test_no_other_weights_recognise_more(rule: Any) -> None:
    streams = [scores(seed, skill) for seed, skill in ((1, 0.4), (2, 0.8), (3, 0.6))]
    choice = choose(streams, LABELS, by(rule))
    labels = [LABELS[id] for id in IDS]
    tried = [
        accuracy(fuse(streams, Fusion(rule=rule, weights=tuple(point))).values, labels)
        for point in np.random.default_rng(0).multinomial(10, [1 / 3] * 3, size=60)
    ]
    assert choice.accuracy >= max(tried) > min(tried)
    assert choice.accuracy == accuracy(fuse(streams, by(rule).with_weights(choice.weights)).values, labels)
    assert choice.alone == tuple(accuracy(stream.values, labels) for stream in streams)
    assert sum(choice.weights) == pytest.approx(1)
    assert (choice.videos, choice.failed) == (IDS, ())


@pytest.mark.parametrize("rule", ["weighted", "l1"])
def test_what_is_always_right_beside_noise_gets_the_most(rule: str) -> None:
    noise = [scores(seed, -3.0) for seed in (1, 2)]
    choice = choose([noise[0], scores(3, 9.0), noise[1]], LABELS, by(rule))
    assert choice.accuracy == 1
    assert max(choice.weights) == choice.weights[1] > 1 / 3


def test_equal_streams_get_equal_weights() -> None:
    assert choose([scores(1), scores(1)], LABELS, by("weighted")).weights == (0.5, 0.5)


@pytest.mark.parametrize("rule", ["weighted", "l1"])
def test_permuted_streams_get_permuted_weights(rule: str) -> None:
    streams = [scores(seed, skill) for seed, skill in ((1, 0.4), (2, 0.8), (3, 0.6))]
    expected = choose(streams, LABELS, by(rule))
    for order in permutations(range(3)):
        found = choose([streams[place] for place in order], LABELS, by(rule))
        assert found.weights == tuple(expected.weights[place] for place in order)
        assert found.accuracy == expected.accuracy


def test_streams_are_joined_by_id_and_what_failed_counts_as_wrong() -> None:
    streams = [scores(1), scores(2, 0.3)]
    shuffled = [streams[0], streams[1].select(IDS[::-1])]
    assert choose(shuffled, LABELS, by("weighted")) == choose(streams, LABELS, by("weighted"))
    broken = [scores(1, 9.0, failed=["broken"]), scores(2, 9.0, (*IDS, "broken"))]
    choice = choose(broken, LABELS, by("weighted"))
    assert choice.failed == ("broken",)
    assert choice.accuracy == pytest.approx(12 / 13)
    with pytest.raises(InputError, match="stream 2 lacks video 'l'"):
        choose([scores(1), scores(2, ids=IDS[:-1])], LABELS, by("weighted"))
    none = Scores((), np.empty((0, 3)), "logits", CLASSES, IDS)
    with pytest.raises(InputError, match="nothing to choose weights on"):
        choose([none, none], LABELS, by("weighted"))


def test_one_hot_weights_give_that_stream() -> None:
    streams = [scores(seed) for seed in (1, 2, 3)]
    for place in range(3):
        weights = tuple(float(number == place) for number in range(3))
        np.testing.assert_allclose(
            fuse(streams, Fusion(rule="weighted", weights=weights)).values, streams[place].probabilities()
        )
        ranked = fuse(streams, Fusion(rule="l1", weights=weights)).values.argsort(axis=1)
        np.testing.assert_array_equal(ranked, streams[place].values.argsort(axis=1))


@pytest.mark.parametrize("rule", ["sum", "product", "weighted", "l1"])
def test_the_last_stream_is_multiplied_onto_the_fusion_of_the_others(rule: Any) -> None:
    streams = [scores(seed) for seed in (1, 2, 3)]
    weights = (1.0, 1.5) if rule in ("weighted", "l1") else None
    others = fuse(streams[:2], Fusion(rule=rule, weights=weights))
    expected = fuse([others, streams[2]], Fusion(rule="product"))
    found = fuse(streams, Fusion(rule=rule, weights=weights, times_last=True))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)
    if rule == "product":
        np.testing.assert_allclose(found.values, fuse(streams, Fusion(rule="product")).values, rtol=1e-9)


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        ({"rule": "product", "choose": {"validation": 0.2}}, "'product' takes no weights"),
        ({"rule": "weighted", "weights": (1, 1), "choose": {"validation": 0.2}}, "either weights, .*, or choose"),
        ({"rule": "weighted", "choose": {}}, "choose.validation: Field required"),
        ({"rule": "weighted", "choose": {"validation": 1.0}}, "choose.validation: .* less than 1"),
        ({"rule": "weighted", "weights": (0, 0)}, "all weights are 0"),
    ],
)
def test_mistakes_say_what_would_be_right(fusion: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(Fusion, fusion)


def test_a_fusion_that_does_not_fit_the_streams() -> None:
    with pytest.raises(ValueError, match="at least 3 streams"):
        Fusion(times_last=True).check(2)
    with pytest.raises(ValueError, match="2 weights for 3 streams before the last"):
        Fusion(rule="weighted", weights=(1, 1), times_last=True).check(4)
    with pytest.raises(ValueError, match=r"10,626 weights to try for 5 streams .* take fewer parts"):
        by("weighted", 20).check(5)
    by("weighted", 20).check(4)
