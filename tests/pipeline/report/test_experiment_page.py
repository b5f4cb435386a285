"""Reports: the figures are the metrics', pages are self-contained, and nothing in a name is believed."""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.report.example_videos import KINDS, choose
from pipeline.report.experiment_page import write
from pipeline.report.feature_maps import FirstMaps
from pipeline.report.feature_maps import pictures as first_maps
from pipeline.report.illustrations import Illustrations
from pipeline.report.traces import Trace, TracedClip
from pipeline.results.per_class import best_stream, in_groups
from pipeline.results.result import Explained, ReportedStream, Result, Run
from pipeline.results.tables import markdown_table, text_table
from pipeline.rows import Failure
from pipeline.scoring import metrics
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import fuse
from pipeline.scoring.scores import Scores
from pipeline.scoring.weight_search import Choice
from pipeline.training.curves import Curves

HOSTILE = '<script>alert("x")</script>&amp;$_{2'
FILES = {"report.html", "metrics.json", "predictions.csv", "classes.csv", "folds.json", "table.txt"}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and keeps the text and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


class Cells(HTMLParser):
    """The text of each cell of the table with an id, row by row."""

    def __init__(self, text: str, table: str) -> None:
        super().__init__()
        self.table = table
        self.inside = self.cell = False
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = self.inside or (tag == "table" and ("id", self.table) in attrs)
        self.cell = self.cell or tag in ("td", "th")
        if self.inside and tag == "tr":
            self.rows.append([])
        if self.inside and tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "table"
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside and self.cell:
            self.rows[-1][-1] += data


def classes_of(count: int) -> tuple[str, ...]:
    return (HOSTILE, "$x$ & y", *(f"class {number}" for number in range(2, count)))


def make(
    classes: int = 3, streams: int = 2, runs: int = 2, failed: Sequence[str] = (), several: bool = False, **more: Any
) -> Result:
    rng = np.random.default_rng(0)
    names = classes_of(classes)
    ids = [f"{HOSTILE}/{number}" for number in range(3 * classes)]
    labels: dict[str, tuple[int, ...]] = {id: (number % classes,) for number, id in enumerate(ids)}
    if several:
        labels = {id: (first, (first + 1) % classes) for id, (first,) in labels.items()}
    made = []
    for number in range(runs):
        scored = [id for id in ids if id not in failed]
        values = [rng.normal(size=(len(scored), classes)) for _ in range(streams)]
        for array in values:
            array[np.arange(len(scored)), [labels[id][0] for id in scored]] += 1.5
        scores = tuple(Scores(tuple(scored), array, "logits", names, tuple(failed)) for array in values)
        curves = Curves((1.5, 0.5, 0.2), (0.3, 0.6, 0.9), (0.1, 0.1, 0.01))
        fused = fuse(scores, Fusion()) if streams > 1 else None
        made.append(Run(f"split {number}", 7 + number, scores, fused, (curves,) * (streams - 1) + (None,)))
    return Result(
        explained=(Explained(HOSTILE, HOSTILE, 3, 0.987654),),
        title=f"Title {HOSTILE}",
        streams=tuple(ReportedStream(f"stream {HOSTILE} {number}") for number in range(streams)),
        runs=tuple(made),
        labels=labels,
        **{"reported": 92.5, "table": "Some table 4", **more},
    )


def write_illustrated(result: Result, folder: Path, pictures: Mapping[str, tuple[str, ...]] | None = None) -> None:
    """Write a report with a traced clip of all streams, one of none, and feature maps."""
    rng = np.random.default_rng(1)
    trace = Trace(np.arange(4), rng.uniform(size=4), rng.uniform(size=(4, 3)))
    (lost, *_), name = result.labels, result.classes[0]
    shown = TracedClip(lost, name, 5, 25.0, (), {stream.name: trace for stream in result.streams})
    maps = FirstMaps(lost, name, 4, first_maps(np.zeros((54, 34)), np.ones((7, 48, 28))))
    clips = (shown, TracedClip(f"{HOSTILE}/1", result.classes[1]))
    write(result, Illustrations(tuple(choose(result)), pictures or {}, clips, {HOSTILE: (maps,)}), folder)


PROVENANCE = {
    "stage": "evaluate",
    "fingerprint": "0123456789ab",
    "configuration": {"rule": "product", "note": HOSTILE, "weights": None, "empty": []},
    "upstream": [{"stage": "train", "fingerprint": "ba9876543210", "versions": {"torch": "2.13.0"}}],
    "inputs": {f"{HOSTILE}.avi": "d1g3st"},
}


@pytest.mark.parametrize(("classes", "streams", "runs"), [(2, 1, 1), (2, 3, 5), (6, 2, 12), (101, 2, 2), (101, 1, 1)])
def test_a_page_is_whole_and_self_contained(classes: int, streams: int, runs: int, tmp_path: Path) -> None:
    result = make(
        classes,
        streams,
        runs,
        failed=[f"{HOSTILE}/1"],
        failures={f"{HOSTILE}/1": Failure(f"broken {HOSTILE}", 3)},
        notes=(HOSTILE,),
        groups={HOSTILE: classes_of(classes)[:2]},
        provenance=PROVENANCE,
    )
    write_illustrated(result, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {"script", "link", "iframe", "object", "embed", "form", "base"}.isdisjoint(page.tags)
    references = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "srcset")]
    beside = {value for value in references if value and not value.startswith(("#", "data:image/"))}
    assert beside == FILES - {"report.html"}
    assert not re.search(r"url\((?!#)|@import", text)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "svg" in page.tags
    shown = "".join(page.text)
    for part in (
        f"Title {HOSTILE}",
        f"{HOSTILE}/1",
        f"broken {HOSTILE}",
        "0123456789ab",
        "d1g3st",
        "92.5",
        "2.13.0",
        "98.77",
    ):
        assert part in shown
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    assert {file.name for file in tmp_path.iterdir()} == FILES


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write(make(provenance=PROVENANCE), tmp_path / name)
    for file in FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_figures_are_those_of_metrics(tmp_path: Path) -> None:
    lost = f"{HOSTILE}/1"
    result = make(7, 2, 3, failed=[lost], failures={lost: Failure("cut short", 12)})
    write_illustrated(result, tmp_path)
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["name"] for row in numbers["rows"]] == [*(stream.name for stream in result.streams), "fusion"]
    assert [row["reported"] for row in numbers["rows"]] == [None, None, 92.5]
    accuracies = []
    for run, written in zip(result.runs, numbers["rows"][-1]["runs"], strict=True):
        assert run.fused is not None
        labels = [result.labels[id] for id in run.fused.ids]
        accuracies.append(100 * metrics.accuracy(run.fused.values, labels, [result.labels[lost]]))
        assert written["accuracy"] == pytest.approx(accuracies[-1])
        assert written["top5"] == pytest.approx(100 * metrics.top_k(run.fused.values, labels, 5, [result.labels[lost]]))
        assert (written["fold"], written["seed"]) == (run.fold, run.seed)
    summary = numbers["rows"][-1]["summary"]["accuracy"]
    assert summary["mean"] == pytest.approx(np.mean(accuracies))
    assert summary["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    counts = np.array(numbers["rows"][-1]["confusion"])
    assert counts.shape == (7, 8)
    assert counts.sum() == 3 * 21
    assert counts[:, -1].tolist() == [0, 3, 0, 0, 0, 0, 0]
    assert np.trace(counts) / counts.sum() == pytest.approx(np.mean(accuracies) / 100)
    recall = numbers["rows"][-1]["class_accuracy"]
    np.testing.assert_allclose(recall, 100 * counts.diagonal() / counts.sum(axis=1), atol=1e-5)
    assert numbers["failures"][lost] == {"reason": "cut short", "frames_decoded": 12}


def test_confusion_is_the_mean_of_the_trials(tmp_path: Path) -> None:
    right, wrong = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    labels = {"a": (0,), "b": (0,), "c": (0,), "d": (0,), "e": (1,)}
    trials = [
        Scores(("a", "b", "c", "e"), np.array([right, right, wrong, wrong]), "probabilities", ("x", "y", "z")),
        Scores(("d",), np.array([wrong]), "probabilities", ("x", "y", "z"), ("a",)),
    ]
    runs = tuple(Run(f"trial {number}", 0, (scores,), None, (None,)) for number, scores in enumerate(trials))
    result = Result("t", (ReportedStream("s"),), runs, labels)
    (row,) = result.rows
    assert row.counts is not None
    assert row.confusion is not None
    assert row.counts.tolist() == [[2, 2, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    third = 1 / 3
    expected = [[third, (third + 0.5) / 2, 0, 0.25], [0, 1, 0, 0], [np.nan] * 4]
    np.testing.assert_allclose(row.confusion, expected)
    write_illustrated(result, tmp_path)
    (told,) = json.loads((tmp_path / "metrics.json").read_text())["rows"]
    assert told["confusion"] == row.counts.tolist()
    assert told["confusion_percent"][0] == pytest.approx([100 * share for share in expected[0]])
    assert told["confusion_percent"][2] == [None] * 4
    page = (tmp_path / "report.html").read_text()
    cells = re.findall(r'<td class="(?:hit|miss)[^>]*>([\d.]+)<small>(\d+)</small>', page)
    assert cells == [("33.3", "2"), ("41.7", "2"), ("25.0", "1"), ("100.0", "1")]
    assert "their mean over 2 runs" in page


def test_page_metrics_and_predictions_agree(tmp_path: Path) -> None:
    result = make(7, 2, 3, failed=[f"{HOSTILE}/1"])
    write_illustrated(result, tmp_path)
    page = (tmp_path / "report.html").read_text()
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    _, *shown = Cells(page, "figures").rows
    for row, cells in zip(numbers["rows"], shown, strict=True):
        verdicts = [
            [int(line["correct"]) for line in lines if (line["stream"], line["fold"]) == (row["name"], run.fold)]
            for run in result.runs
        ]
        shares = [100 * sum(run) / len(run) for run in verdicts]
        assert cells[:2] == [row["name"], f"{np.mean(shares):.2f} ± {np.std(shares, ddof=1):.2f}"]
        assert row["summary"]["accuracy"]["mean"] == pytest.approx(np.mean(shares))
        others = [row["summary"][name] for name in ("mean_class_accuracy", "top5")]
        assert cells[-2:] == [f"{each['mean']:.2f} ± {each['deviation']:.2f}" for each in others]
    assert shown[-1][2:4] == [
        "92.5",
        f"{numbers['rows'][-1]['summary']['accuracy']['mean'] - 92.5:+.2f}".replace("-", "−"),
    ]
    _, *classes = Cells(page, "class-figures").rows
    recalls = dict(zip(numbers["classes"], numbers["rows"][-1]["class_accuracy"], strict=True))
    assert {cells[0]: cells[-1] for cells in classes} == {name: f"{share:.1f}" for name, share in recalls.items()}
    assert [cells[0] for cells in classes] == sorted(recalls, key=lambda name: -recalls[name])


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


def voices(*values: Sequence[Sequence[float]]) -> Result:
    """One run of streams with these probabilities (video, class) of videos whose class is the first, late product."""
    classes = tuple("xyzuvw"[: len(values[0][0])])
    ids = tuple("abcdef"[: len(values[0])])
    scores = tuple(Scores(ids, np.array(each), "probabilities", classes) for each in values)
    run = Run("f", 0, scores, fuse(scores, Fusion()), (None,) * len(scores))
    names = tuple(ReportedStream(f"stream {number}") for number in range(len(scores)))
    return Result("t", names, (run,), {id: (0,) for id in ids})


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


def test_the_gain_of_a_fusion_is_over_its_best_stream(tmp_path: Path) -> None:
    result = make(7, 3, 2, failed=[f"{HOSTILE}/1"], groups={"pair": classes_of(7)[5:3:-1], "absent": ("nowhere",)})
    table = result.rows
    best = best_stream(result)
    assert best is not None
    accuracies = [row.summary("accuracy").mean for row in table[:-1]]
    assert best is table[int(np.argmax(accuracies))]
    write_illustrated(result, tmp_path)
    with (tmp_path / "classes.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header[:3] == ["group", "class", "test videos"]
    assert header[3:] == [*(row.name for row in table), f"gain over {best.name}"]
    assert [line[1] for line in lines] == ["class 5", "class 4", *classes_of(7)[:4], "class 6"]
    assert [line[0] for line in lines] == ["pair"] * 2 + ["other classes"] * 5
    assert table[-1].recall is not None
    assert best.recall is not None
    for line in lines:
        place = result.classes.index(line[1])
        assert int(line[2]) == 6
        assert float(line[6]) == pytest.approx(100 * table[-1].recall[place], abs=1e-4)
        assert float(line[7]) == pytest.approx(100 * (table[-1].recall - best.recall)[place], abs=1e-4)
    titles = [value for name, value in Page((tmp_path / "report.html").read_text()).attributes if name == "title"]
    for line in lines:
        assert f"{line[1]}: {float(line[7]):+.2f} of 6 test videos".replace("-", "−") in titles


def test_one_stream_gains_nothing(tmp_path: Path) -> None:
    write(make(3, 1, 1), tmp_path)
    assert 'id="gain"' not in (tmp_path / "report.html").read_text()
    assert "gain" not in (tmp_path / "classes.csv").read_text()


def test_the_confusion_stands_in_groups(tmp_path: Path) -> None:
    result = make(8, 2, 1, groups={"second": ("class 7", "class 2"), "first": ("class 3",)})
    order = ["class 7", "class 2", "class 3", *classes_of(8)[:2], "class 4", "class 5", "class 6"]
    assert [result.classes[place] for group in in_groups(result) for place in group.places] == order
    write_illustrated(result, tmp_path)
    page = (tmp_path / "report.html").read_text()
    matrix = page[page.index('<table class="matrix"') :]
    matrix = matrix[: matrix.index("</table>")]
    assert [unescape(name) for name in re.findall(r'scope="row" title="([^"]*)"', matrix)] == order
    assert [unescape(name) for name in re.findall(r'scope="col"[^>]* title="([^"]*)"', matrix)] == order
    assert re.findall(r'scope="rowgroup"[^>]*><span>([^<]*)', matrix) == ["second", "first", "other classes"]
    counts = result.rows[-1].counts
    assert counts is not None
    cells = [int(*re.findall(r"<small>(\d+)", cell) or "0") for cell in re.findall(r"<td[^>]*>(.*?)</td>", matrix)]
    places = [result.classes.index(name) for name in order]
    assert np.array(cells).reshape(8, 8).tolist() == counts[np.ix_(places, places)].tolist()
    assert matrix.count('class="hit') + matrix.count('class="none') == 8


def test_without_groups_the_confusion_stands_in_the_order_of_classes() -> None:
    (group,) = in_groups(make(4))
    assert group == ("", (0, 1, 2, 3))


def test_groups_count_their_videos(tmp_path: Path) -> None:
    result = make(4, 1, 2, groups={"pair": classes_of(4)[:2], "absent": ("nowhere",)})
    write_illustrated(result, tmp_path)
    row = json.loads((tmp_path / "metrics.json").read_text())["rows"][0]
    counts = np.array(row["confusion"])
    assert row["groups"]["pair"] == pytest.approx(100 * (counts[0, 0] + counts[1, 1]) / counts[:2].sum())
    assert "absent" not in row["groups"]


def test_predictions_tell_every_video_of_every_run(tmp_path: Path) -> None:
    lost = f"{HOSTILE}/1"
    result = make(3, 2, 2, failed=[lost])
    write_illustrated(result, tmp_path)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 3 * 9
    fused = [line for line in lines if line["stream"] == "fusion" and line["fold"] == "split 1"]
    assert sum(int(line["correct"]) for line in fused) / len(fused) == result.rows[-1].figures[1]["accuracy"]
    scores = result.runs[1].fused
    assert scores is not None
    for line in fused:
        if line["video"] == lost:
            assert (line["predicted"], line["probability"], line["correct"]) == ("", "", "0")
            continue
        row = scores.values[scores.ids.index(line["video"])]
        assert line["predicted"] == result.classes[int(row.argmax())]
        assert float(line["probability"]) == pytest.approx(row.max(), abs=1e-6)
        assert line["labels"] == result.classes[result.labels[line["video"]][0]]


def test_several_labels_are_ranked(tmp_path: Path) -> None:
    result = make(4, 2, 2, several=True, metric="mAP", provenance=PROVENANCE)
    write_illustrated(result, tmp_path)
    Page((tmp_path / "report.html").read_text())
    row = json.loads((tmp_path / "metrics.json").read_text())["rows"][0]
    assert row["confusion"] is None
    assert row["class_accuracy"] is None
    labels = [result.labels[id] for id in result.runs[0].scores[0].ids]
    expected = [100 * metrics.mean_average_precision(run.scores[0].values, labels) for run in result.runs]
    assert row["summary"]["mAP"]["mean"] == pytest.approx(np.mean(expected))
    assert "mAP [%]" in text_table(result)


def test_classes_without_test_videos_have_no_figure(tmp_path: Path) -> None:
    labels = {"a": (0,), "b": (0,)}
    scores = Scores(("a", "b"), np.eye(2), "probabilities", ("x", "y"))
    result = Result("t", (ReportedStream("s"),), (Run("f", 0, (scores,), None, (None,)),), labels, metric="mAP")
    write_illustrated(result, tmp_path)
    row = json.loads((tmp_path / "metrics.json").read_text())["rows"][0]
    assert row["class_accuracy"] == [50.0, None]
    assert row["average_precision"] == [100.0, None]
    assert row["summary"]["mean_class_accuracy"]["mean"] == 50
    assert "are left out of means" in (tmp_path / "report.html").read_text()


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


def test_chosen_weights_are_told_with_their_videos(tmp_path: Path) -> None:
    result = make(3, 2, 2)
    write_illustrated(result, tmp_path / "given")
    assert json.loads((tmp_path / "given" / "metrics.json").read_text())["weights"] == []
    assert 'id="weights"' not in (tmp_path / "given" / "report.html").read_text()
    choices = [Choice((0.25, 0.75), 0.5, (0.25, 0.375), (HOSTILE, f"v{number}"), ("lost",)) for number in range(2)]
    runs = tuple(replace(run, choice=choice) for run, choice in zip(result.runs, choices, strict=True))
    write(replace(result, runs=runs), tmp_path / "chosen")
    text = (tmp_path / "chosen" / "report.html").read_text()
    rows = Cells(text, "chosen-weights").rows
    assert [row[:2] for row in rows[1:]] == [["split 0", "7"], ["split 1", "8"]]
    assert rows[1][2:] == ["0.25", "0.75", "3", "50.0", "25.0", "37.5"]
    assert HOSTILE in "".join(Page(text).text)
    numbers = json.loads((tmp_path / "chosen" / "metrics.json").read_text())["weights"]
    assert [told["videos"] for told in numbers] == [[HOSTILE, "v0"], [HOSTILE, "v1"]]
    assert numbers[0] | {"videos": []} == {
        "fold": "split 0",
        "seed": 7,
        "weights": [0.25, 0.75],
        "accuracy": 50.0,
        "alone": [25.0, 37.5],
        "videos": [],
        "failed": ["lost"],
    }
