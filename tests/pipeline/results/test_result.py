"""Results: their tables and groups, and what does not fit together."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.results.per_class import in_groups
from pipeline.results.result import ReportedStream, Result, Run
from pipeline.results.tables import markdown_table, text_table
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
