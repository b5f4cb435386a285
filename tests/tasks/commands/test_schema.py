"""The JSON schema of experiment files says what there is to say, and lets pass what is right and nothing else."""

import copy
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data import DATASETS
from data.validation import Validation
from extractors import EXTRACTORS
from pipeline.config import Config
from sequence_models import MODELS
from tasks.commands.app import app
from tasks.commands.schema import experiment_schema, text
from tasks.experiment import Experiment, load_experiment
from tasks.recipes import BUNDLED, bundled
from tests.support.paths import ROOT

FILE = BUNDLED / "experiment.schema.json"
EXAMPLES = ROOT / "examples"
RECIPES = [*sorted(BUNDLED.glob("*.toml")), *sorted(EXAMPLES.rglob("*.toml"))]
REGISTERED = [*EXTRACTORS.values(), *MODELS.values(), *DATASETS.values(), Validation]
UNIONS = {
    ("Stream", "extractor"): EXTRACTORS,
    ("Input", "extractor"): EXTRACTORS,
    ("Stream", "model"): MODELS,
    ("JoinedStream", "model"): MODELS,
    ("Validation", "of"): DATASETS,
    ("Experiment", "dataset"): DATASETS | {"validation": Validation},
}
COMPLETE = {
    "title": "x",
    "dataset": {"name": "stick_figures"},
    "streams": [
        {"extractor": {"name": "c3d", "weights": "w"}, "model": {"name": "lstm", "fit": {"epochs": 1}}},
    ],
}


PLAIN, PRINTED = Experiment.model_json_schema(), experiment_schema()
TABLES = {**PRINTED["$defs"], "Experiment": PRINTED}


def parts(schema: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema in it that a value may be held to, with its place."""
    yield place, schema
    for key in ("properties", "$defs"):
        for name, part in schema.get(key, {}).items():
            yield from parts(part, f"{place}.{name}")
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for number, part in enumerate(schema.get(key, [])):
            yield from parts(part, f"{place}.{key}.{number}")
    if "items" in schema:
        yield from parts(schema["items"], f"{place}.items")


def nested(kind: type[Config]) -> Iterator[type[Config]]:
    """All configurations there are."""
    for inner in kind.__subclasses__():
        yield inner
        yield from nested(inner)


def test_the_file_is_what_the_command_prints() -> None:
    """After a change of a field: ``KINESCOPE_GOLDEN=write pytest tests/tasks/commands/test_schema.py``."""
    answer = CliRunner().invoke(app, ["schema"])
    assert answer.exit_code == 0
    if os.environ.get("KINESCOPE_GOLDEN") == "write":
        FILE.write_text(answer.stdout, encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == answer.stdout == text() + "\n"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_file_names_it_in_its_first_line(path: Path) -> None:
    first, _ = path.read_text(encoding="utf-8").split("\n", 1)
    assert first.startswith("#:schema .")
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == FILE.resolve()


@pytest.mark.parametrize("union", UNIONS, ids=".".join)
def test_a_union_names_all_that_are_registered(union: tuple[str, str]) -> None:
    kind, field = union
    found = {**PLAIN["$defs"], "Experiment": PLAIN}[kind]["properties"][field]
    refs = {name: f"#/$defs/{member.__name__}" for name, member in UNIONS[union].items()}
    assert found["discriminator"] == {"propertyName": "name", "mapping": refs}
    assert [each["$ref"] for each in found["oneOf"]] == list(refs.values())
    printed = TABLES[kind]["properties"][field]
    assert [each["$ref"] for each in printed["anyOf"]] == list(refs.values())


def test_streams_are_single_or_joined() -> None:
    for schema in (PLAIN, PRINTED):
        options = schema["properties"]["streams"]["items"]["anyOf"]
        assert options == [{"$ref": "#/$defs/Stream"}, {"$ref": "#/$defs/JoinedStream"}]


def test_nothing_in_it_lets_anything_pass() -> None:
    for schema in (PLAIN, PRINTED):
        told = {"type", "$ref", "anyOf", "oneOf", "const", "enum"}
        found = [(place, part) for place, part in parts(schema) if ".needed" not in place]
        assert len(found) > 300
        assert [place for place, part in found if not part.keys() & told] == []


@pytest.mark.parametrize("kind", REGISTERED, ids=lambda kind: kind.__name__)
def test_it_tells_every_field_of_what_is_registered(kind: type[Config]) -> None:
    table, own = TABLES[kind.__name__], kind.model_json_schema()
    assert table["description"]
    assert table["additionalProperties"] is False
    assert table["properties"].keys() == kind.model_fields.keys() | {"like"}
    for name, field in kind.model_fields.items():
        told = table["properties"][name]
        assert told.get("description") == field.description, name
        if not field.is_required() and field.default is not None and not isinstance(field.default, Config):
            assert told["default"] == own["properties"][name]["default"], name
    needed = TABLES[f"{kind.__name__}.needed"].get("else", {})
    assert needed.get("required", []) == own.get("required", [])


def test_bounds_and_choices_are_told() -> None:
    assert TABLES["Validation"]["properties"]["share"] == {
        "default": 0.2,
        "description": Validation.model_fields["share"].description,
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "type": "number",
    }
    assert TABLES["C3D"]["properties"]["layer"]["enum"] == ["fc6", "fc7"]
    assert TABLES["C3D"]["properties"]["name"]["const"] == "c3d"
    assert TABLES["Experiment"]["properties"]["seeds"]["items"] == {
        "minimum": 0,
        "maximum": 1_000_000_000,
        "type": "integer",
    }


def test_descriptions_are_one_paragraph() -> None:
    described = {place: part["description"] for place, part in parts(PRINTED) if "description" in part}
    assert [place for place, told in described.items() if "\n" in told or "``" in told or not told.strip()] == []
    kinds = {kind.__name__ for kind in nested(Config)}
    for name in PRINTED["$defs"]:
        if not name.endswith(".needed"):
            assert name in kinds
            assert f".{name}" in described, f"{name} needs a docstring"


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def mistakes(validator: Any, table: Any) -> list[str]:
    """Where a table is wrong, by the schema: the places of the innermost mistakes."""
    from jsonschema.exceptions import best_match

    return [f"{(inner := best_match([error])).json_path}: {inner.message}" for error in validator.iter_errors(table)]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_right_as_it_stands(path: Path, validator: Any) -> None:
    assert mistakes(validator, tomllib.loads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", bundled())
def test_a_recipe_is_right_with_every_default_spelt_out(name: str, validator: Any) -> None:
    table = json.loads(load_experiment(name).model_dump_json(exclude_none=True))
    assert mistakes(validator, table) == []


def changed(place: str, value: Any) -> dict[str, Any]:
    """The complete recipe with another value at a place; None takes away what is there."""
    table: Any = copy.deepcopy(COMPLETE)
    *steps, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    inner = table
    for step in steps:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return table  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("place", "value", "mistake"),
    [
        ("titel", "x", "$: Additional properties are not allowed ('titel' was unexpected)"),
        ("seeds", ["a"], "$.seeds[0]: 'a' is not of type 'integer'"),
        ("seeds", [-1], "$.seeds[0]: -1 is less than the minimum of 0"),
        ("metric", "acc", "$.metric: 'acc' is not one of"),
        ("title", None, "$: 'title' is a required property"),
        ("dataset", None, "$: 'dataset' is a required property"),
        ("streams", [], "$.streams: [] should be non-empty"),
        ("dataset.name", None, "$.dataset: 'name' is a required property"),
        ("dataset.name", "ucf", "$.dataset"),
        ("dataset.stride", 1, "$.dataset"),
        ("dataset", {"name": "validation", "of": {"name": "kthh"}}, "$.dataset"),
        ("dataset", {"name": "validation"}, "$.dataset: 'of' is a required property"),
        ("streams.0.extractor.stride_frames", 0, "$.streams[0]"),
        ("streams.0.extractor.stride_frames", "x", "$.streams[0]"),
        ("streams.0.extractor.stride", 1, "$.streams[0]"),
        ("streams.0.extractor.weights", None, "$.streams[0].extractor: 'weights' is a required property"),
        ("streams.0", {"join": "sum", "inputs": [], "model": {"name": "lstm"}}, "$.streams[0]"),
        ("streams.0.model.fit.lr", -1, "$.streams[0]"),
        ("streams.0.model", None, "$.streams[0]"),
        ("streams.0.join", "sum", "$.streams[0]"),
        ("fusion", {"rule": "summ"}, "$.fusion.rule: 'summ' is not one of"),
        ("like", 3, "$.like: 3 is not of type 'string'"),
    ],
)
def test_a_mistake_is_one(place: str, value: Any, mistake: str, validator: Any) -> None:
    assert mistakes(validator, COMPLETE) == []
    assert any(found.startswith(mistake) for found in mistakes(validator, changed(place, value)))


@pytest.mark.parametrize(
    "table",
    [
        {"like": "x"},
        {"like": "x", "dataset": {"subjects": 5}},
        {"like": "x", "streams": [{"like": "x#streams.0", "model": {"order": 1, "fit": {"epochs": 9}}}]},
        {**COMPLETE, "dataset": {"like": "x#dataset"}},
        {**COMPLETE, "streams": [{"extractor": {"like": "x#streams.0.extractor"}, "model": {"name": "consensus"}}]},
        {**COMPLETE, "streams": [{"like": "x#streams.0", "extractor": {"stride_frames": 4}}]},
        {**COMPLETE, "fusion": {"rule": "weighted", "choose": {"like": "x#fusion.choose"}}},
    ],
    ids=str,
)
def test_what_is_taken_over_need_not_be_said_but_the_title(table: dict[str, Any], validator: Any) -> None:
    assert mistakes(validator, {**table, "title": "x"}) == []
    assert mistakes(validator, {name: value for name, value in table.items() if name != "title"}) == [
        "$: 'title' is a required property"
    ]


def test_what_is_said_beside_like_must_be_right(validator: Any) -> None:
    assert mistakes(validator, {"title": "x", "like": "x", "dataset": {"subject": 5}})
    assert mistakes(validator, {"title": "x", "like": "x", "streams": [{"like": "x", "model": {"order": "one"}}]})


def test_a_field_that_is_filled_in_is_not_needed() -> None:
    assert set(TABLES["TDNBackbone.needed"]["else"]["required"]) == {"backbone", "weights", "fit", "joint"}
