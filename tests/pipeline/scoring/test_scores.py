"""Scores: what they refuse, that fusion joins by id, and its rules by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DamagedStore, InputError
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import align, fuse
from pipeline.scoring.scores import Scores, provenance

CLASSES = ("walk", "run", "wave")


def logits(values: Any, ids: str = "abc", failed: str = "") -> Scores:
    return Scores(tuple(ids), np.array(values), "logits", CLASSES, tuple(failed))


def random_logits(seed: int, ids: str = "abcde", failed: str = "", scale: float = 3.0) -> Scores:
    return logits(np.random.default_rng(seed).normal(scale=scale, size=(len(ids), 3)), ids, failed)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values)
    result: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return result


GOOD: dict[str, Any] = {
    "ids": ("a", "b"),
    "values": np.full((2, 2), 0.5),
    "kind": "probabilities",
    "classes": ("x", "y"),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("a", "a")}, "'a' occurs twice"),
        ({"failed": ("b",)}, "'b' occurs twice"),
        ({"classes": ("x", "x")}, "class 'x' occurs twice"),
        ({"values": np.full((2, 3), 1 / 3)}, "2 videos × 2 classes"),
        ({"values": np.full(2, 0.5)}, "2 videos × 2 classes"),
        ({"values": np.array([[0.5, 0.5], [np.nan, 0.5]])}, "'b' has scores that are not finite"),
        ({"values": np.array([[np.inf, 0.5], [0.5, 0.5]]), "kind": "logits"}, "'a' has scores that are not finite"),
        ({"values": np.array([[0.5, 0.5], [0.5, 0.6]])}, "'b' has probabilities"),
        ({"values": np.array([[0.5, 0.5], [-0.5, 1.5]])}, "'b' has probabilities that are negative"),
    ],
)
def test_wrong_scores_are_refused(change: dict[str, Any], message: str) -> None:
    Scores(**GOOD)
    with pytest.raises(InputError, match=message):
        Scores(**{**GOOD, **change})


def test_scores_cannot_change_and_leave_the_argument_alone() -> None:
    values = np.zeros((3, 3))
    scores = logits(values)
    values += 1
    assert (scores.values == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0, 0] = 1


def test_probabilities_of_logits_are_their_softmax() -> None:
    scores = random_logits(0)
    np.testing.assert_allclose(scores.probabilities(), softmax(scores.values))
    np.testing.assert_allclose(logits([[1e5, 0, -1e5]], "a").probabilities(), [[1, 0, 0]])


@pytest.mark.parametrize("seed", range(60))
def test_the_last_bits_of_a_softmax_are_those_of_its_plain_formula(seed: int) -> None:
    """Scores that were fused before SciPy computed it stay what they are."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=10.0 ** rng.uniform(-3, 4), size=(seed % 40, 1 + seed % 23))
    if seed % 3 == 0:
        values = values.astype(np.float32).astype(np.float64)
    if seed % 7 == 0:
        values[:, 1:] = values[:, :1]  # all alike
    if seed % 5 == 0:
        values = np.asfortranarray(values)

    def plain(logits: np.ndarray) -> np.ndarray:
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    ids, classes = (tuple(map(str, range(count))) for count in values.shape)
    scores = Scores(ids, values, "logits", classes)
    np.testing.assert_array_equal(scores.probabilities(), np.exp(plain(scores.values)))
    fused = fuse([scores, scores], Fusion(rule="product")).values
    logs = plain(scores.select(ids).values)  # fusion puts rows in order, which makes an array of its own
    np.testing.assert_array_equal(fused, np.exp(plain(np.sum([logs, logs], axis=0))))


@pytest.mark.parametrize("ids", [("d/é ü<script>", 'b, "quoted"'), ()])
def test_saving_loses_nothing(ids: tuple[str, ...], tmp_path: Path) -> None:
    scores = Scores(ids, np.random.default_rng(0).normal(size=(len(ids), 2)), "logits", ("x", "y"), ("lost",))
    scores.save(tmp_path / "scores.npz", {"stage": "test"})
    assert provenance(tmp_path / "scores.npz") == {"stage": "test"}
    again = Scores.load(tmp_path / "scores.npz")
    assert (again.ids, again.kind, again.classes, again.failed) == (ids, "logits", ("x", "y"), ("lost",))
    np.testing.assert_array_equal(again.values, scores.values)
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npz"]


@pytest.mark.parametrize("content", ["half", "empty", "text", "other", "pickle"])
def test_damaged_files_are_set_aside(content: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    random_logits(0).save(path, {})
    whole = path.read_bytes()
    if content == "other":
        np.savez(path, values=np.zeros(3))
    elif content == "pickle":
        np.savez(path, ids=np.array(["a", None], object))
    else:
        path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "text": b"no archive"}[content])
    with pytest.raises(DamagedStore, match=r"set aside as scores\.npz\.damaged-1"):
        Scores.load(path)
    assert not path.exists()


def test_streams_are_joined_by_id() -> None:
    one, other = random_logits(1, "abc"), random_logits(2, "cab")
    first, second = align([one, other])
    assert first.ids == second.ids == ("a", "b", "c")
    np.testing.assert_array_equal(second.values, other.values[[1, 2, 0]])


def test_what_failed_in_one_stream_failed_in_all() -> None:
    streams = [random_logits(1, "abc", "d"), random_logits(2, "dca", "b")]
    aligned = align(streams)
    assert [stream.ids for stream in aligned] == [("a", "c"), ("a", "c")]
    assert [stream.failed for stream in aligned] == [("b", "d"), ("b", "d")]
    np.testing.assert_array_equal(aligned[1].values, streams[1].values[[2, 1]])
    assert fuse(streams, Fusion()).failed == ("b", "d")


def test_a_missing_id_is_named() -> None:
    with pytest.raises(InputError, match="stream 2 lacks video 'b', which stream 1 has"):
        align([random_logits(1, "ab"), random_logits(2, "a")])
    with pytest.raises(InputError, match="stream 1 lacks video 'c', which stream 3 has"):
        align([random_logits(1, "ab"), random_logits(1, "ba"), random_logits(2, "ab", failed="c")])
    other = Scores(("a",), np.zeros((1, 3)), "logits", CLASSES[::-1])
    with pytest.raises(InputError, match="stream 2 has other classes"):
        align([random_logits(1, "a"), other])
    with pytest.raises(InputError, match="no stream"):
        align([])


def test_rules_by_hand() -> None:
    one, other = random_logits(1), random_logits(2)
    p, q = softmax(one.values), softmax(other.values)
    total = fuse([one, other], Fusion(rule="sum"))
    np.testing.assert_allclose(total.values, (p + q) / 2)
    weighted = fuse([one, other], Fusion(rule="weighted", weights=(1.5, 1)))
    np.testing.assert_allclose(weighted.values, 0.6 * p + 0.4 * q)
    product = fuse([one, other], Fusion(rule="product"))
    np.testing.assert_allclose(product.values, p * q / (p * q).sum(axis=1, keepdims=True))
    assert total.kind == weighted.kind == product.kind == "probabilities"
    normalised = fuse([one, other], Fusion(rule="l1", weights=(1, 1.5)))
    norms = [np.abs(scores.values).sum(axis=1, keepdims=True) for scores in (one, other)]
    np.testing.assert_allclose(normalised.values, one.values / norms[0] + 1.5 * other.values / norms[1])
    assert normalised.kind == "logits"


def test_a_product_never_underflows() -> None:
    far = logits([[0, -900, -800]], "a")
    fused = fuse([far, logits([[-900, 0, 50]], "a")], Fusion())
    np.testing.assert_allclose(fused.values, softmax(np.array([[-900 + 750.0, -900 + 750, -750 + 750]])), atol=1e-12)
    opposed = [Scores(("a",), np.eye(3)[[index]], "probabilities", CLASSES) for index in (0, 1)]
    np.testing.assert_allclose(fuse(opposed, Fusion()).values, [[0.5, 0.5, 0]], atol=1e-12)


def test_l1_wants_logits_and_survives_zeros() -> None:
    fusion = Fusion(rule="l1", weights=(1, 1))
    fused = fuse([logits([[0, 0, 0]], "a"), logits([[1, -2, 1]], "a")], fusion)
    np.testing.assert_allclose(fused.values, [[0.25, -0.5, 0.25]])
    likely = Scores(("a",), np.eye(3)[[0]], "probabilities", CLASSES)
    with pytest.raises(InputError, match="before softmax"):
        fuse([likely, logits([[1, 0, 0]], "a")], fusion)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.permutations(range(3)), st.sampled_from(["sum", "product", "weighted", "l1"]))
def test_the_order_of_streams_and_videos_is_nothing(seed: int, order: list[int], rule: Any) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 2, 3)
    streams = [random_logits(seed + number) for number in range(3)]

    def fused(streams: list[Scores], weights: np.ndarray) -> Scores:
        return fuse(streams, Fusion(rule=rule, weights=tuple(weights) if rule in ("weighted", "l1") else None))

    shuffled = [streams[place].select(tuple("ebdac")) if place else streams[place] for place in order]
    expected, actual = fused(streams, weights), fused(shuffled, weights[order])
    np.testing.assert_allclose(actual.select(expected.ids).values, expected.values, rtol=1e-9, atol=1e-12)


def test_one_stream_is_itself() -> None:
    one = random_logits(1)
    for rule in ("sum", "product"):
        np.testing.assert_allclose(fuse([one], Fusion.model_validate({"rule": rule})).values, softmax(one.values))


def test_weights_are_asked_for_where_used() -> None:
    for table in ({"rule": "weighted"}, {"rule": "l1"}, {"rule": "sum", "weights": (1, 1)}):
        with pytest.raises(ValueError, match="weights"):
            Fusion.model_validate(table)
    with pytest.raises(InputError, match="3 weights for 2 streams"):
        fuse([random_logits(1), random_logits(2)], Fusion(rule="weighted", weights=(1, 1, 1)))
    assert Fusion().rule == "product"
