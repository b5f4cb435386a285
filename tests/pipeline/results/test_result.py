"""Results: their tables and groups, and what does not fit together."""

import csv
import io

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.results.per_class import in_groups
from pipeline.results.result import ExtractionTime, ReportedStream, Result, Run
from pipeline.results.tables import class_figures, markdown_table, predictions, text_table
from pipeline.scoring.scores import Scores
from tests.support.made_results import make


def test_without_groups_the_confusion_stands_in_the_order_of_classes() -> None:
    (group,) = in_groups(make(4))
    assert group == ("", (0, 1, 2, 3))


def test_tables() -> None:
    scores = Scores(("a", "b", "c", "d"), np.eye(2)[[0, 0, 1, 0]], "probabilities", ("x", "y"))
    labels = {"a": (0,), "b": (0,), "c": (1,), "d": (1,)}
    run = Run("f", 0, (scores, scores), scores, (None, None))
    result = Result(
        "My | title", (ReportedStream("rgb", 70.0), ReportedStream("a|flow")), (run,), labels, table="T 1", reported=80
    )
    assert text_table(result).splitlines() == [
        "My | title",
        "stream  accuracy [%]  reported (T 1)  difference",
        "──────  ────────────  ──────────────  ──────────",
        "rgb            75.00              70       +5.00",
        "a|flow         75.00                            ",
        "fusion         75.00              80       -5.00",
    ]
    assert markdown_table([("stream", "measured [%]"), ("a|flow", "75.00")], numbers=1).splitlines() == [
        r"| stream | measured \[%] |",
        "| --- | ---: |",
        r"| a\|flow | 75.00 |",
    ]
    half = Scores(scores.ids, np.eye(2)[[0, 1, 1, 0]], "probabilities", ("x", "y"))
    two = Result(
        "t",
        (ReportedStream("s"),),
        (Run("f", 0, (scores,), None, (None,)), Run("f", 1, (half,), None, (None,))),
        labels,
    )
    assert "62.50 ± 17.68" in text_table(two)


def test_what_does_not_fit_is_refused() -> None:
    good = make(2, 2, 1)
    run = good.runs[0]
    cases = [
        ((ReportedStream("only"),), (run,), good.labels, "scores and curves of all 1 streams"),
        (good.streams, (Run("f", 0, run.scores, None, run.curves),), good.labels, "need a fusion"),
        (good.streams, (), good.labels, "nothing to report"),
        (good.streams, (run,), {}, "has scores but no label"),
        (good.streams, (run, make(3, 2, 1).runs[0]), good.labels, "classes differ"),
    ]
    for streams, runs, labels, message in cases:
        with pytest.raises(InputError, match=message):
            Result("t", streams, runs, labels)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", " =", "＝"])
def test_a_spreadsheet_runs_nothing_of_a_csv_file(sign: str) -> None:
    command = f"{sign}HYPERLINK(1)"
    scores = Scores((f"{command}/a", "b"), np.eye(2), "logits", (command, "-1.5"))
    labels = {f"{command}/a": (0,), "b": (1,)}
    streams = (ReportedStream(f"{command} 1"), ReportedStream(f"{command} 2"))
    result = Result("t", streams, (Run(command, 0, (scores, scores), scores, (None, None)),), labels)
    written = [[*csv.reader(io.StringIO(text, newline=""))] for text in (predictions(result), class_figures(result))]
    cells = [cell for lines in written for line in lines for cell in line]
    assert sum(cell.startswith(f"'{command}") for cell in cells) > 10
    numbers = [cell for cell in cells if not cell.startswith("'")]
    assert not [cell for cell in numbers if cell.strip().startswith(tuple("=+@＝")) or cell != cell.strip()]
    assert "-1.5" in numbers, "a number is no formula"


def test_a_loss_stays_a_number_and_other_text_is_as_it_was() -> None:
    result = make(3, 2, 1)
    header, *lines = csv.reader(io.StringIO(class_figures(result)))
    gains = [line[header.index(next(name for name in header if name.startswith("gain")))] for line in lines]
    assert all(f"{float(gain):.4f}" == gain for gain in gains)
    assert "'" not in predictions(result) + class_figures(result)


@pytest.mark.parametrize(
    ("parts", "limit"),
    [((6.0, 3.0, 0.5), "reading videos"), ((0.0, 3.0, 0.5), "computing"), ((0.1, 0.2, 0.5), "writing rows")],
)
def test_an_extraction_is_limited_by_what_takes_the_longest(parts: tuple[float, float, float], limit: str) -> None:
    assert ExtractionTime("c3d", 3, 10.0, *parts).limit == limit
