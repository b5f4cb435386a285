"""Every number of a configuration has a least and a largest value: no memory and no time without end, no seed lost."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from data import DATASETS
from data.validation import Validation
from extractors import EXTRACTORS
from extractors.base import FittedNetwork
from pipeline.config import MAX_SEED, Config, parse
from pipeline.errors import InputError
from sequence_models import MODELS
from tasks.experiment import Experiment


def nested(kind: type[Config]) -> Iterator[type[Config]]:
    """All configurations there are."""
    for inner in kind.__subclasses__():
        yield inner
        yield from nested(inner)


def numbers(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema of every number that a field may hold, in a list too, but for those that it names one by one."""
    if schema.get("type") in ("integer", "number") and not schema.keys() & {"const", "enum"}:
        yield schema
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for part in schema.get(key, []):
            yield from numbers(part)
    if isinstance(schema.get("items"), dict):
        yield from numbers(schema["items"])


def fields() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of every configuration, with its place."""
    ours = {"data", "extractors", "pipeline", "sequence_models", "tasks"}
    for kind in {each for each in nested(Config) if each.__module__.split(".")[0] in ours}:
        schema = kind.model_json_schema()
        for name, field in schema.get("$defs", {}).get(kind.__name__, schema)["properties"].items():
            yield from ((f"{kind.__name__}.{name}", number) for number in numbers(field))


def test_every_number_has_bounds() -> None:
    found = list(fields())
    kinds = {place.split(".")[0] for place, _ in found}
    assert {"Experiment", "Fit", "DRNN", "TSN", "HOG3D", "Folder", "Augmentation", "FisherVocabulary"} <= kinds
    assert len(found) > 150
    for place, number in found:
        low = number.get("minimum", number.get("exclusiveMinimum"))
        high = number.get("maximum", number.get("exclusiveMaximum"))
        assert low is not None, f"{place} has no least value"
        assert high is not None, f"{place} has no largest value"
        assert number["type"] == "number" or abs(high) <= 2**32, place


def test_the_walk_reaches_all_that_is_registered() -> None:
    assert {*EXTRACTORS.values(), *MODELS.values(), *DATASETS.values(), Validation, Experiment} <= {*nested(Config)}


def test_a_seed_is_one_wherever_it_lands() -> None:
    """An experiment's seed is added to the network's, and that is doubled and raised by one for a second phase."""
    largest = 2 * (2 * MAX_SEED) + 1
    torch.Generator().manual_seed(largest)
    np.random.default_rng(largest)
    np.random.RandomState(largest)  # scikit-learn's
    stream = {
        "extractor": {"name": "tsn", "network": {"backbone": "resnet50", "weights": "w", "fit": {"epochs": 1}}},
        "model": {"name": "consensus"},
    }
    stream["extractor"]["network"]["seed"] = MAX_SEED  # type: ignore[index]
    recipe = {"title": "x", "dataset": {"name": "stick_figures"}, "streams": [stream], "seeds": [MAX_SEED]}
    (summed,) = parse(Experiment, recipe).streams_of(MAX_SEED)
    fitted = summed.extractor.fitted
    assert isinstance(fitted, FittedNetwork)
    assert fitted.seed == 2 * MAX_SEED


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("seeds", [MAX_SEED + 1]),
        ("dataset.trials", 10**9),
        ("dataset.protocol_seed", 2**32),
        ("streams.0.model.state", 10**9),
        ("streams.0.model.steps", 10**9),
        ("streams.0.model.fit.batch", 10**9),
        ("streams.0.extractor.augment.copies", 10**9),
        ("streams.0.extractor.augment.speed_factor", 1e300),
        ("streams.0.extractor.sampled_frames", 10**9),
    ],
)
def test_a_number_beyond_is_one_sentence(place: str, value: Any) -> None:
    recipe: Any = {
        "title": "x",
        "dataset": {"name": "stick_figures"},
        "streams": [
            {"extractor": {"name": "skeleton", "augment": {}}, "model": {"name": "drnn", "fit": {"epochs": 1}}}
        ],
    }
    parse(Experiment, recipe)
    inner = recipe
    *steps, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    for step in steps:
        inner = inner[step]
    inner[last] = value
    with pytest.raises(InputError, match="Input should be less than or equal to") as caught:
        parse(Experiment, recipe)
    assert ";" not in str(caught.value)


def test_a_task_says_it_as_well() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1000"):
        DATASETS["kth"].model_validate({"name": "kth", "trials": 10**9})
