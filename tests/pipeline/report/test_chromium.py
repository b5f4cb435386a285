"""Reports driven in headless Chromium: nothing is missing, nothing sticks out, nothing is fetched."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from pipeline.files.atomic import write_text
from pipeline.report import activation_maps, feature_maps, prediction_page, thumbnails
from pipeline.report.activation_maps import Activations
from pipeline.report.comparison_page import Compared, page
from pipeline.report.example_videos import choose
from pipeline.report.experiment_page import write
from pipeline.report.feature_maps import FirstMaps
from pipeline.report.illustrations import Illustrations
from pipeline.report.steps import Shown, Steps
from pipeline.report.traces import Trace, TracedClip
from pipeline.results.answers import Answers, Detected, Window
from pipeline.results.experiment_figure import MeasuredFigure
from pipeline.results.result import Explained, ExtractionTime, ReportedStream, Result, Run
from pipeline.rows import Failure
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import fuse
from pipeline.scoring.metrics import Summary
from pipeline.scoring.scores import Scores
from pipeline.training.curves import Curves
from tests.support.recipes import SKELETONS

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOST = "class 1/video 0 of a rather long name that has_no_place_to_be_broken_but_in_the_middle_of_it"
LOOK = """() => {
  const size = element => { const box = element.getBoundingClientRect(); return box.width * box.height };
  const links = [...document.querySelectorAll('a')].map(link => link.getAttribute('href'));
  return {
    pictures: document.querySelectorAll('img, svg').length,
    empty: [...document.querySelectorAll('img, svg')].filter(each => !size(each)).map(each => each.outerHTML),
    broken: [...document.images].filter(image => !image.complete || !image.naturalWidth).length,
    anchors: links.filter(link => link.startsWith('#') && !document.getElementById(link.slice(1))),
    files: links.filter(link => !link.startsWith('#')),
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    outside: [...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll') &&
      each.getBoundingClientRect().right > window.innerWidth + 1).map(each => each.outerHTML.slice(0, 200)),
    paper: getComputedStyle(document.body).backgroundColor,
    cells: document.querySelectorAll('.matrix tbody td').length / (document.querySelectorAll('.matrix').length || 1),
    small: [...document.querySelectorAll('.figures text, .timeline text')].map(each => each.getBoundingClientRect())
      .filter(box => Math.min(box.width, box.height) < 4 || Math.max(box.width, box.height) < 8).length,
  };
}"""
OVER_TIME = """() => [...document.querySelectorAll('.timeline')].map(timeline => {
  const ends = element => { const box = element.getBoundingClientRect(); return [box.left, box.right] };
  const rules = [...timeline.querySelectorAll(':scope > svg')].map(drawing =>
    [...drawing.querySelectorAll('path[style*="--line"]')].map(ends).sort((a, b) => b[1] - b[0] - a[1] + a[0])[0]);
  return [[...timeline.querySelectorAll('.strip > span')].map(ends), rules];
})"""


def synthetic(classes: int, streams: int) -> Result:
    """Two folds with two seeds each; the first video cannot be used, and has no picture. Several streams: in groups."""
    rng = np.random.default_rng(classes)
    names = tuple(f"class {number} & a name" for number in range(classes))
    ids = [LOST, *(f"class {number % classes}/video {number}" for number in range(1, 4 * classes))]
    runs = []
    for number in range(4):
        made = []
        for _ in range(streams):
            values = rng.normal(size=(len(ids) - 1, classes))
            values[np.arange(len(values)), [place % classes for place in range(1, len(ids))]] += 2.0
            made.append(Scores(tuple(ids[1:]), values, "logits", names, (LOST,)))
        fused = fuse(made, Fusion()) if streams > 1 else None
        loss = tuple(2.0 / (epoch + 1) + 0.1 * number for epoch in range(9))
        curves = Curves(loss, tuple(1 - value / 3 for value in loss), (0.1,) * 5 + (0.01,) * 4)
        runs.append(Run(f"split {number // 2 + 1}", number % 2, tuple(made), fused, (curves,) * streams))
    halves = {"a group of rather many words": names[1::2], "another": names[:-1:2]} if streams > 1 else {}
    return Result(
        title=f"{classes} classes, {streams} streams",
        streams=tuple(ReportedStream(f"stream {number} with a long name", 80.0) for number in range(streams)),
        runs=tuple(runs),
        labels={id: (number % classes,) for number, id in enumerate(ids)},
        table="A paper's table 4",
        reported=92.5,
        failures={LOST: Failure("decoding fails after 3 frames: " + "x" * 80, 3)},
        notes=("A note.",),
        groups=halves,
        provenance={"stages": [{"stage": "train", "fingerprint": "0123456789ab"}], "files": dict.fromkeys(ids, "d1")},
        explained=tuple(Explained("stream 0", f"split {number}", 450, 0.97) for number in (1, 2)),
        times=(ExtractionTime("an extractor with a long name", 12345, 98765.4, 0.0, 98000.0, 1.5),),
    )


def illustrated(result: Result) -> Illustrations:
    """Pictures of everything that a report may show; none of the video that cannot be used."""
    frame = np.random.default_rng(len(result.classes)).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    names, (_, *ids), streams = result.classes, result.labels, len(result.streams)
    return Illustrations(
        examples=tuple(choose(result)),
        pictures={id: thumbnails.of_frames([frame] * 4) for id in ids},
        clips=(clip(LOST, names[0], [], frame), *(clip(id, names[1], range(streams), frame) for id in ids[:2])),
        maps={"stream 0": (FirstMaps(ids[0], names[1], 13, feature_maps.pictures(*first_layer())),)},
        activations={"stream 0": (activation(ids[0], names[1], frame),)},
    )


def activation(video: str, label: str, frame: np.ndarray) -> Activations:
    """Of a clip of three snippets."""
    answers = np.random.default_rng(1).random((3, 7, 7), np.float32)
    images, changes = (activation_maps.pictures([frame] * count, answers[:count]) for count in (3, 2))
    return Activations(video, label, 0.25, 0.5, (3, 50, 101), images, changes)


def clip(video: str, label: str, streams: Sequence[int], frame: np.ndarray) -> TracedClip:
    """120 frames at 25 a second; the first stream has an internal state."""
    frames = np.arange(0, 112, 2)
    traces = {}
    for number in streams:
        surprise = np.exp(-(((frames - 30) / 10) ** 2))
        norms = np.stack([1 + surprise, 2 * surprise, 3 * surprise**2], axis=1)
        probability = 1 / (1 + np.exp(-(frames - 20 * (number + 1)) / 9))
        traces[f"stream {number} with a long name"] = Trace(frames, probability, None if number else norms)
    return TracedClip(video, label, 120, 25.0, thumbnails.of_frames([frame] * 6), traces)


def several() -> list[Compared]:
    """Twelve experiments with names that fill a line; of all but one there is a trace."""
    frame = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
    made = []
    for number in range(12):
        name = f"experiment {number} with a title such as papers have, and its stream, for 583 features"
        shown = clip("a/clip", "walking", [number] if number else [], frame)
        shown = replace(shown, traces=dict.fromkeys([name] * bool(number), *shown.traces.values()))
        curves = [Curves(tuple(2.0 / (epoch + 1 + number) for epoch in range(40)))]
        figure = MeasuredFigure("skeleton + drnn", "accuracy", Summary(91.25, 1.5, 10), 93.96)
        differing = {"model.hidden": 256 * 2 ** (number % 4), "model.layers": number // 4}
        shares = {f"class {place} & a name of some length": (number * place % 7) / 7 for place in range(30)}
        told = {
            "table": "A table",
            "classes": shares,
            "parameters": differing,
            "curves": {name: curves},
        }
        made.append(Compared(name, "set", "elsewhere.html", (figure,), clips=(shown,), **told))
    return made


def first_layer() -> tuple[np.ndarray, np.ndarray]:
    """A frame with a bright bar, and seven maps as strong as it is bright."""
    frame = np.zeros((54, 34))
    frame[10:44, 12:20] = 2.0
    return frame, np.stack([np.roll(np.abs(frame[3:51, 3:31]), shift, axis=1) for shift in range(7)])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no Chromium to look at reports with: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Containers run as root, and have a small /dev/shm.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a report by name, made once."""
    root = tmp_path_factory.mktemp("reports")

    def make(name: str) -> Path:
        folder = root / name
        if name == "run" and not folder.exists():
            return real_run(root)
        if name == "several" and not folder.exists():
            write_text(folder / "report.html", page(several()))
        if not folder.exists():
            classes, streams = map(int, name.split("x"))
            result = synthetic(classes, streams)
            write(result, illustrated(result), folder)
        return folder

    return make


def real_run(root: Path) -> Path:
    """The report of a small experiment on files, from extraction to page; its folder."""
    recipe = root / "recipe.toml"
    recipe.write_text(SKELETONS)
    for key, value in {"store": root / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    try:
        luigi.task_register.Register.clear_instance_cache()
        task = tasks.Evaluate(experiment=str(recipe))
        if not task.complete():
            luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
        return task.folder()
    finally:
        get_config().remove_section("kinescope")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["6x2", "20x1", pytest.param("101x3", marks=pytest.mark.slow), "run"])
def test_a_report_stands_in_the_browser(
    chromium: Any, reports: Callable[[str], Path], name: str, width: int, scheme: str
) -> None:
    folder = reports(name)
    address = (folder / "report.html").as_uri()
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(address)
        for closed in page.locator("summary").all():
            if closed.is_visible() and closed.evaluate("each => !each.parentElement.open"):
                closed.click()
        seen = page.evaluate(LOOK)
        folded = page.locator("#provenance > details")
        assert folded.evaluate("each => each.open")
        assert folded.locator(".tree").first.is_visible()
    finally:
        page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert seen["pictures"] > 10
    assert (seen["empty"], seen["broken"]) == ([], 0)
    assert seen["anchors"] == []
    assert set(seen["files"]) == {"metrics.json", "predictions.csv", "classes.csv", "folds.json", "table.txt"}
    assert all((folder / file).is_file() for file in seen["files"])
    assert (seen["overflow"], seen["outside"]) == (0, [])
    assert seen["small"] == 0
    assert (seen["paper"] == "rgb(20, 23, 26)") == (scheme == "dark")
    classes = 6 if name == "run" else int(name.split("x")[0])
    assert seen["cells"] == classes * (classes + (name != "run"))  # and one column of failed videos


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_experiments_stand_side_by_side_in_the_browser(
    chromium: Any, reports: Callable[[str], Path], width: int, scheme: str
) -> None:
    shown = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    address = (reports("several") / "report.html").as_uri()
    try:
        shown.goto(address)
        for closed in shown.locator("#gains summary").all()[1:]:
            closed.click()
        seen = shown.evaluate(LOOK)
        assert shown.locator("#gains details").count() == 11
        assert shown.locator("#gains details").last.locator("li").count() == 30
    finally:
        shown.close()
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert (seen["empty"], seen["broken"], seen["anchors"], seen["small"]) == ([], 0, [], 0)
    assert (seen["overflow"], seen["outside"]) == (0, [])
    assert (seen["paper"] == "rgb(20, 23, 26)") == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_predictions_stand_in_the_browser(chromium: Any, tmp_path: Path, width: int, scheme: str) -> None:
    answers, shown = predicted()
    write_text(tmp_path / "predictions.html", prediction_page.page(answers, shown))
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = (tmp_path / "predictions.html").as_uri()
    try:
        page.goto(address)
        seen = page.evaluate(LOOK)
        titles = page.locator("article h3").all_inner_texts()
        bars = page.locator("article").first.locator(".opinions ol").count()
        drawings = page.locator("article .figures svg").count()
    finally:
        page.close()
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert (seen["empty"], seen["broken"], seen["anchors"], seen["small"]) == ([], 0, [], 0)
    assert (seen["overflow"], seen["outside"]) == (0, [])
    assert (seen["paper"] == "rgb(20, 23, 26)") == (scheme == "dark")
    assert [title.split()[0] for title in titles] == ["class", "unknown", "class"]
    assert (bars, drawings) == (3, 4)  # all streams and each of two; the last video has no steps


def predicted() -> tuple[Answers, dict[str, Shown]]:
    """Answers about four videos by two streams: one failed, one is below the threshold, one has no pictures."""
    rng, names = np.random.default_rng(0), tuple(f"class {number} & a name of some length" for number in range(9))
    videos = ("a folder/a video of a rather long name", "unsure", "bare")
    values = np.full((3, 9), 0.02)
    values[[0, 2], [3, 5]] = 0.84
    values[1] = 1 / 9
    scores = Scores(videos, values, "probabilities", names, (LOST,))
    frame = rng.integers(0, 255, (120, 160, 3)).astype(np.uint8)
    steps = Steps(np.arange(6) / 5, rng.dirichlet(np.ones(9), 6), 1.4, "s")
    streams = ("RGB of a long name", "flow")
    shown = Shown(thumbnails.of_frames([frame] * 4), dict.fromkeys(streams, steps))
    provenance = {"upstream": {"recognizer": "0123456789ab"}, "components": {"members": 3}}
    answers = Answers(
        title="an experiment",
        answers=scores,
        streams=dict.fromkeys(streams, scores),
        paths={video: f"/a/path/that/leads/far/{video}.mp4" for video in videos},
        failures={LOST: Failure("decoding fails after 3 frames: " + "x" * 80, 3)},
        threshold=0.5,
        remarks=("1 file is not taken.",),
        provenance=provenance,
    )
    return answers, {videos[0]: shown, videos[1]: shown, videos[2]: Shown()}


@pytest.mark.parametrize("width", [1280, 390])
def test_films_stand_in_the_browser(chromium: Any, tmp_path: Path, width: int) -> None:
    answers, _ = predicted()
    rng, count = np.random.default_rng(0), 60
    windows = {f"film/{start:03d}": Window("film", float(start), start + 4.0) for start in range(count)}
    values = rng.dirichlet(np.full(9, 0.3), count)
    scores = Scores(tuple(windows), values, "probabilities", answers.answers.classes)
    detected = Detected(scores.classes[0], 0.4)
    films = replace(
        answers,
        answers=scores,
        streams=dict.fromkeys(answers.streams, scores),
        windows=windows,
        detected=detected,
        threshold=0.25,
    )
    films.paths["film"] = "/a/film.mp4"  # type: ignore[index]
    (film,) = films.films
    steps = Steps(film.moments.middles, film.moments.probabilities, film.moments.edges[-1], "s")
    shown = {"film": Shown((), {"all streams": steps, "flow": steps})}
    write_text(tmp_path / "predictions.html", prediction_page.page(films, shown))
    page = chromium.new_page(viewport={"width": width, "height": 900})
    try:
        page.goto((tmp_path / "predictions.html").as_uri())
        seen = page.evaluate(LOOK)
        parts = page.locator(".segments i").evaluate_all(
            "parts => parts.map(part => part.getBoundingClientRect().width)"
        )
        whole = page.locator(".segments").evaluate("bar => bar.getBoundingClientRect().width")
        rows, drawings = page.locator("article tbody tr").count(), page.locator("article .figures svg").count()
    finally:
        page.close()
    assert (seen["empty"], seen["broken"], seen["anchors"], seen["small"]) == ([], 0, [], 0)
    assert (seen["overflow"], seen["outside"]) == (0, [])
    assert len(parts) == rows == len(film.segments) > 5
    assert sum(parts) == pytest.approx(whole, abs=2)
    assert drawings == 2


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["6x2", "run"])
def test_pictures_stand_over_the_axis_of_time(
    chromium: Any, reports: Callable[[str], Path], name: str, width: int
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    try:
        page.goto((reports(name) / "report.html").as_uri())
        seen = page.evaluate(OVER_TIME)
    finally:
        page.close()
    assert seen
    for pictures, axes in seen:
        assert len(pictures) == thumbnails.TIMELINE.pictures
        for first, last in axes:  # the ends of the lines under a value, which are the axis's
            assert pictures[0][0] == pytest.approx(first, abs=1.5)
            assert pictures[-1][1] == pytest.approx(last, abs=1.5)
        widths = [right - left for left, right in pictures]
        assert max(widths) - min(widths) < 1


def test_provenance_is_folded_and_paper_is_white(chromium: Any, reports: Callable[[str], Path]) -> None:
    page = chromium.new_page(color_scheme="dark")
    try:
        page.goto((reports("20x1") / "report.html").as_uri())
        tree = page.locator("#provenance .tree").first
        assert not tree.is_visible()
        page.locator("#provenance summary").first.click()
        assert tree.is_visible()
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 253, 252)"
        assert page.pdf(format="A4").startswith(b"%PDF")
    finally:
        page.close()
