"""Reports: the figures are the metrics', pages are self-contained, and nothing in a name is believed."""

import csv
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from pipeline.results.per_class import best_stream, in_groups
from pipeline.results.result import ReportedStream, Result, Run
from pipeline.results.tables import text_table
from pipeline.rows import Failure
from pipeline.scoring import metrics
from pipeline.scoring.scores import Scores
from pipeline.scoring.weight_search import Choice
from tests.support.html import Cells, Page
from tests.support.made_results import FILES, HOSTILE, PROVENANCE, classes_of, make, write_illustrated


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
        write_illustrated(make(provenance=PROVENANCE), tmp_path / name)
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
    assert "averaged over 2 runs" in page


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
        names = ("mean_class_accuracy", "macro_f1", "weighted_f1", "top5")
        others = [row["summary"][name] for name in names]
        assert cells[-4:] == [f"{each['mean']:.2f} ± {each['deviation']:.2f}" for each in others]
    assert shown[-1][2:4] == [
        "92.5",
        f"{numbers['rows'][-1]['summary']['accuracy']['mean'] - 92.5:+.2f}".replace("-", "−"),
    ]
    _, *classes = Cells(page, "class-figures").rows
    recalls = dict(zip(numbers["classes"], numbers["rows"][-1]["class_accuracy"], strict=True))
    assert {cells[0]: cells[-1] for cells in classes} == {name: f"{share:.1f}" for name, share in recalls.items()}
    assert [cells[0] for cells in classes] == sorted(recalls, key=lambda name: -recalls[name])


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
    write_illustrated(make(3, 1, 1), tmp_path)
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


def test_chosen_weights_are_told_with_their_videos(tmp_path: Path) -> None:
    result = make(3, 2, 2)
    write_illustrated(result, tmp_path / "given")
    assert json.loads((tmp_path / "given" / "metrics.json").read_text())["weights"] == []
    assert 'id="weights"' not in (tmp_path / "given" / "report.html").read_text()
    choices = [Choice((0.25, 0.75), 0.5, (0.25, 0.375), (HOSTILE, f"v{number}"), ("lost",)) for number in range(2)]
    runs = tuple(replace(run, choice=choice) for run, choice in zip(result.runs, choices, strict=True))
    write_illustrated(replace(result, runs=runs), tmp_path / "chosen")
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
