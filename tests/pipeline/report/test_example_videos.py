"""Examples in a report: those of the predictions, the most confident, of every kind."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.example_videos import KINDS, choose
from pipeline.results.result import ReportedStream, Result, Run
from pipeline.rows import Failure
from pipeline.scoring.scores import Scores
from tests.support.html import Page
from tests.support.made_results import HOSTILE, make, voices, write_illustrated


def test_examples_are_those_of_the_predictions(tmp_path: Path) -> None:
    lost = f"{HOSTILE}/1"
    result = make(7, 2, 2, failed=[lost], failures={lost: Failure("cut short", 12)})
    write_illustrated(result, tmp_path)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if (line["stream"], line["fold"]) == ("fusion", "split 0")]
    told = {line["video"]: line for line in lines}
    titles = [value for name, value in Page((tmp_path / "report.html").read_text()).attributes if name == "title"]
    examples = choose(result)
    assert {example.right for example in examples} == {True, False}
    for example in examples:
        line = told[example.video]
        assert (line["labels"], line["correct"]) == ("|".join(example.labels), str(int(example.right)))
        if example.failed:
            assert (example.video, line["predicted"]) == (lost, "")
            continue
        (name, probability), *rest = example.opinions[0].best
        assert (name, f"{probability:.6f}") == (line["predicted"], line["probability"])
        assert len(rest) == 4
        assert f"{name}: {probability:.4f}" in titles


def test_examples_are_the_most_confident_of_each_class() -> None:
    right, wrong = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.4, 0.3])
    values = np.array([right, [0.7, 0.2, 0.1], wrong, [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    scores = Scores(("a", "b", "c", "d", "e"), values, "probabilities", ("x", "y", "z"), ("f", "g", "h"))
    labels = {"a": (0,), "b": (0,), "c": (0,), "d": (0,), "e": (2,), "f": (1,), "g": (1,), "h": (1,)}
    examples = choose(Result("t", (ReportedStream("s"),), (Run("f", 0, (scores,), None, (None,)),), labels))
    assert [example.video for example in examples] == ["b", "e", "d", "f", "g"]
    assert examples[1].opinions[0].best == (("z", 0.6), ("x", 0.2), ("y", 0.2))
    assert not examples[-1].right
    many = choose(make(101, 1, 1))
    assert len(many) == 12
    assert [example.right for example in many] == [True] * 6 + [False] * 6
    assert len({example.labels for example in many[:6]}) == 6


def test_examples_show_who_is_right() -> None:
    agreed, doubted, spoilt, wrong = [0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]
    one = [agreed, doubted, spoilt, wrong]
    other = [agreed, agreed, wrong, wrong]
    examples = choose(voices(one, other))
    assert [(example.video, example.kind) for example in examples] == [
        ("a", "right"),
        ("b", "mended"),
        ("c", "spoilt"),
        ("d", "wrong"),
    ]
    assert [opinion.name for opinion in examples[1].opinions] == ["fusion", "stream 0", "stream 1"]
    assert [opinion.right for opinion in examples[1].opinions] == [True, False, True]
    assert examples[1].opinions[1].best == (("y", 0.6), ("x", 0.4))
    assert examples[1].opinions[0].best[0] == ("x", pytest.approx(0.36 / 0.42))


def test_the_place_of_a_class_that_is_not_among_the_best_is_told(tmp_path: Path) -> None:
    last = [0.01, 0.09, 0.4, 0.2, 0.2, 0.1]
    result = voices([last, last], [last, last])
    (example,) = choose(result)
    assert {(each.label, each.place, each.probability) for each in example.opinions[1:]} == {("x", 6, 0.01)}
    write_illustrated(result, tmp_path)
    assert (tmp_path / "report.html").read_text().count("x in place 6, 1.0") == 2


def test_kinds_of_examples_share_the_places() -> None:
    examples = choose(make(101, 3, 1, failed=[f"{HOSTILE}/1"]))
    counts = Counter(example.kind for example in examples)
    assert len(examples) == 12
    assert counts["failed"] == 1
    shares = [counts[kind] for kind in KINDS if counts[kind]]
    assert max(shares) - min(shares) <= 1
    for kind in counts:
        own = [example.opinions[0].best[0][1] for example in examples if example.kind == kind != "failed"]
        assert own == sorted(own, reverse=True)
