"""Configurations say what would be right; fingerprints change with what is significant, and with nothing else."""

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Config, File, one_of, parse, unknown
from pipeline.errors import InputError
from pipeline.fingerprint import fingerprint, row_key, short_digest
from pipeline.training.config import Fit


class Net(Config):
    name: Literal["net"] = "net"
    weights: File | None = None
    layers: int = 2


class Other(Config):
    name: Literal["other"] = "other"
    width: float = 1.5


class Whole(Config):
    part: one_of({"net": Net, "other": Other}, "part")  # type: ignore[valid-type]
    parts: tuple[Net, ...] = ()


def test_canonical_json_is_parsed_back_to_the_same() -> None:
    whole = parse(Whole, {"part": {"name": "other", "width": 2}, "parts": [{"layers": 3}]})
    assert isinstance(whole.part, Other)
    assert parse(Whole, json.loads(whole.canonical())) == whole
    assert whole.canonical() == (
        '{"part":{"name":"other","width":2.0},"parts":[{"layers":3,"name":"net","weights":null}]}'
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"part": {"name": "nett"}}, "part: unknown part 'nett': did you mean 'net'? (net, other)"),
        ({"part": {"name": "net", "layer": 1}}, "part: unknown field of Net 'layer': did you mean 'layers'?"),
        ({"part": {"name": "net", "layers": "x"}}, "not 'x'"),
        ({"part": {"name": "other", "width": float("nan")}}, "finite number"),
        ({"part": 3}, "part: a table with a name is needed, such as { name = 'net' }"),
        ({}, "part: Field required"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_what_would_be_right(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse(Whole, table)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_of_many_known_names_the_nearest_are_said() -> None:
    names = [f"experiment-{number}" for number in range(100)]
    sentence = unknown("experiment", "experimnt-77", names)
    assert sentence.startswith("unknown experiment 'experimnt-77': did you mean 'experiment-77'? (experiment-77, ")
    assert sentence.endswith(", … and 92 more)")
    assert sentence.count(",") == 8
    assert all(name in unknown("experiment", "x", names[:40]) for name in names[:40])


def test_what_is_wrong_inside_is_said_alone() -> None:
    with pytest.raises(InputError) as error:
        parse(Whole, {"part": {"name": "net"}, "parts": [{"layer": 1}]})
    assert str(error.value) == "parts.0: unknown field of Net 'layer': did you mean 'layers'? (layers, name, weights)"


class Deep(Config):
    net: Net = Net(layers=5)
    fit: Fit = Fit(optimiser="sgd", lr=0.5, epochs=3, patience=2)


class Deeper(Config):
    deep: Deep = Deep(net=Net(weights="w", layers=7))


def test_a_table_merges_into_the_fields_own_default() -> None:
    assert parse(Deep, {"fit": {"epochs": 9}}).fit == Fit(optimiser="sgd", lr=0.5, epochs=9, patience=2)
    assert parse(Deep, {"fit": {}}).fit == parse(Deep, {}).fit
    assert parse(Deeper, {"deep": {"net": {"weights": "v"}}}).deep == Deep(net=Net(weights="v", layers=7))
    assert parse(Deeper, {"deep": {"fit": {"lr": 1}}}).deep.net == Net(weights="w", layers=7)


def test_what_takes_the_place_of_a_default_is_taken_as_it_is() -> None:
    assert Deep(fit=Fit(epochs=9)).fit == Fit(epochs=9)
    whole = Deep(fit=Fit(iterations=9))
    assert parse(Deep, json.loads(whole.canonical())) == whole
    with pytest.raises(InputError, match="unknown field of Net 'layer'"):
        parse(Deep, {"net": {"layer": 1}})


def test_either_bound_of_a_training_replaces_that_of_the_default() -> None:
    fit = parse(Deep, {"fit": {"iterations": 9}}).fit
    assert (fit.epochs, fit.iterations) == (None, 9)
    with pytest.raises(InputError, match="either epochs or iterations"):
        parse(Deep, {"fit": {"epochs": 1, "iterations": 9}})


def test_no_patience_is_written_as_zero() -> None:
    assert parse(Deep, {"fit": {"patience": 0}}).fit.patience is None


def test_a_training_is_bounded_once() -> None:
    for wrong in ({}, {"epochs": 1, "iterations": 1}):
        with pytest.raises(InputError, match="either epochs or iterations"):
            parse(Fit, wrong)
    with pytest.raises(InputError, match="milestones must rise"):
        parse(Fit, {"epochs": 9, "milestones": [5, 3]})


def test_files_count_by_content_not_by_name() -> None:
    one, moved = Net(weights="here.pt"), Net(weights="there.pt")
    assert one.significant(lambda _: "digest") == moved.significant(lambda _: "digest")
    assert one.significant(lambda _: "digest") != one.significant(lambda _: "other")
    assert Whole(part=one, parts=(moved, one)).files() == ("here.pt", "there.pt")
    assert Whole(part=one, parts=(moved,)).located(str.upper).files() == ("HERE.PT", "THERE.PT")
    assert Net().files() == ()


def test_versions_are_significant_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Whole(part=Other(), parts=(Net(),))
    before = fingerprint("x", whole.significant(str))
    monkeypatch.setattr(Net, "version", 2)
    assert fingerprint("x", whole.significant(str)) != before


def test_fingerprints_are_pinned() -> None:
    """A change here would leave every store in the world behind: it must be meant."""
    assert fingerprint("extract", Net().significant(str), ["a", "b"]) == "ac49c6e3af4c"
    assert row_key("s", ["u"], "d", (0, 9), 1) == row_key("s", ["u"], "d", (0, 9), 1)


@given(
    st.lists(
        st.tuples(
            st.text(),
            st.lists(st.text()),
            st.text(),
            st.none() | st.tuples(st.integers(), st.integers()),
            st.integers(),
        ),
        unique_by=repr,
    )
)
def test_different_rows_have_different_keys(
    parts: list[tuple[str, list[str], str, tuple[int, int] | None, int]],
) -> None:
    assert len({row_key(*part) for part in parts}) == len(parts)


def test_order_of_fields_is_nothing_order_of_inputs_is_something() -> None:
    assert short_digest({"a": 1, "b": 2}) == short_digest({"b": 2, "a": 1})
    assert fingerprint("f", {}, ["a", "b"]) != fingerprint("f", {}, ["b", "a"])
