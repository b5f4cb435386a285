"""Curves against a parameter: which experiments make one, and what tells its lines apart."""

import re
from typing import Any

from pipeline.report.comparison_page import Compared, page
from pipeline.results.experiment_figure import MeasuredFigure
from pipeline.results.sweeps import flat, sweeps
from pipeline.scoring.metrics import Summary


def recipe(steps: int, *, data: str = "ucf", layers: int = 2, residual: bool = True, width: int = 8) -> dict[str, Any]:
    model = {"steps": steps, "layers": layers, "residual": residual, "hidden": width}
    streams = [{"extractor": {"name": "c3d"}, "reducer": {"dims": width}, "model": model}]
    return flat({"dataset": {"name": data}, "streams": streams, "fusion": None})


def found(*recipes: dict[str, Any]) -> dict[str, dict[str, dict[float, int]]]:
    """Of the experiments' places in the order given."""
    made = sweeps([(each, number) for number, each in enumerate(recipes)])
    return {sweep.parameter: {name: dict(line) for name, line in sweep.lines.items()} for sweep in made}


def test_one_line_for_each_of_the_rest_by_rising_value() -> None:
    experiments = [recipe(steps, data=data) for data in ("ucf", "hmdb") for steps in (25, 5, 15)]
    assert found(*experiments) == {"steps": {"ucf": {5: 1, 15: 2, 25: 0}, "hmdb": {5: 4, 15: 5, 25: 3}}}


def test_parameters_that_change_together_are_one() -> None:
    assert found(*(recipe(5, width=width) for width in (8, 16, 32))) == {
        "dims = hidden": {"measured": {8: 0, 16: 1, 32: 2}}
    }


def test_two_sweeps_cross_in_one_experiment() -> None:
    widths = [recipe(5, width=width) for width in (4, 8, 16)]
    depths = [recipe(5, layers=layers) for layers in (3, 4)]
    assert found(*widths, *depths) == {
        "dims = hidden": {"measured": {4: 0, 8: 1, 16: 2}},
        "layers": {"measured": {2: 1, 3: 3, 4: 4}},
    }


def test_truth_values_tell_lines_apart_and_are_no_numbers() -> None:
    experiments = [recipe(5, layers=layers, residual=residual) for residual in (True, False) for layers in (2, 3, 4)]
    assert found(*experiments) == {"layers": {"residual": {2: 0, 3: 1, 4: 2}, "no residual": {2: 3, 3: 4, 4: 5}}}
    assert found(recipe(5, layers=1), recipe(5, layers=0, residual=False)) == {}


def test_two_values_make_no_curve_and_what_differs_otherwise_is_left_out() -> None:
    assert found(recipe(5), recipe(15)) == {}
    assert found(recipe(5), recipe(15), recipe(25, data="hmdb")) == {}
    assert found(recipe(5), recipe(15), recipe(25), recipe(35, data="hmdb")) == {
        "steps": {"measured": {5: 0, 15: 1, 25: 2}}
    }


def test_places_are_named_by_the_shortest_end_that_is_theirs_alone() -> None:
    tables = [
        {"a.fit.lr": rate, "b.fit.lr": other, "b.depth": None if rate == 3 else 1}
        for rate, other in ((1, 9), (2, 9), (4, 9), (3, 7))
    ]
    assert list(found(*tables)) == ["a.fit.lr"]


def test_nested_tables_become_dotted_places() -> None:
    assert flat({"a": [{"b": 1}, {"b": None}], "c": "d", "e": []}) == {"a.0.b": 1, "a.1.b": None, "c": "d"}


def test_the_page_of_several_experiments_has_the_table_and_the_curve() -> None:
    measured = {5: 60.0, 15: 61.5, 25: 63.25}
    experiments = [
        Compared(
            f"T = {steps}, {data}",
            data,
            "x.html",
            (MeasuredFigure("s", "accuracy", Summary(mean, 0.5, 3), 59.5 if steps == 5 else None),),
            parameters=recipe(steps, data=data),
        )
        for data in ("ucf", "hmdb")
        for steps, mean in measured.items()
    ]
    text = page(experiments)
    table = text[text.index('<table class="sweep">') :]
    cells = re.findall(r"<td>([^<]*)</td>", table[: table.index("</table>")])
    assert cells[:5] == ["5", "60.00 ± 0.50", "59.5", "60.00 ± 0.50", "59.5"]
    assert cells[5:10] == ["15", "61.50 ± 0.50", "–", "61.50 ± 0.50", "–"]
    titles = re.findall(r"<title>([^<]*)</title>", text)
    assert {"ucf: 60.0, 61.5, 63.2", "hmdb, reported: 59.5"} <= set(titles)
    assert 'id="against"' not in page(experiments[:2])
