"""The pictures of the papers: what is drawn is what the networks said, on axes that say what they show."""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import luigi
import numpy as np
import pytest
import torch
from luigi.configuration import get_config

import tasks
from extractors.convnet3d.network import ConvNet, first_maps
from pipeline.pca.project import load_reducer
from pipeline.report import feature_maps, plots, thumbnails, timelines
from pipeline.report.comparison_page import Compared, together
from pipeline.report.traces import SHOWN, Trace, TracedClip, choose
from pipeline.scoring.scores import Scores
from pipeline.store import Store
from pipeline.training.curves import Curves
from pipeline.video.sampling import resample
from tasks.index import library
from tasks.reporting.results import gather, illustrate

SVG = "{http://www.w3.org/2000/svg}"
BAD = "video12"
STREAMS = {
    "dRNN": 'reducer = { dims = 3 }, model = { name = "drnn", order = 1, state = 5, steps = 6, fit = { epochs = 2 } }',
    "LSTM": 'model = { name = "lstm", hidden = 4, decision = "last", fit = { epochs = 3, optimiser = "adam" } }',
    "Res-LSTM": 'reducer = { dims = 4 }, model = { name = "res_lstm", steps = 40, fit = { epochs = 2 } }',
    "SVM": 'model = { name = "linear_svm" }',
}


def lines(drawing: str) -> dict[str, np.ndarray]:
    """The points (point, 2) of each line that has a tip, by what stands before the last colon of the tip, y upwards."""
    found = {}
    for group in ElementTree.fromstring(drawing).iter(f"{SVG}g"):
        title, path = group.find(f"{SVG}title"), group.find(f"{SVG}path")
        if title is not None and path is not None and title.text:
            numbers = [float(number) for number in re.findall(r"[-\d.]+", path.attrib["d"])]
            found[title.text.rpartition(":")[0]] = np.reshape(numbers, (-1, 2)) * (1, -1)
    return found


def texts(drawing: str) -> set[str]:
    return {"".join(text.itertext()) for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")}


def clip(fps: float | None = 25.0) -> TracedClip:
    rng = np.random.default_rng(0)
    frames = np.arange(0, 80, 4)
    traces = {
        "dRNN & <more>": Trace(frames, rng.uniform(size=20), rng.uniform(0, 9, size=(20, 4))),
        "LSTM": Trace(frames[::2], rng.uniform(size=10)),
    }
    return TracedClip("a/clip", "walking", 90, fps, (), traces)


def test_probabilities_are_drawn_where_they_are() -> None:
    drawn = lines(plots.probabilities("name", clip(), ["absent", "LSTM", "dRNN & <more>"]))
    assert drawn.keys() == {"LSTM", "dRNN & <more>"}
    values = clip().traces
    width, (left, right) = 72 * 5.6, plots.TIMELINE
    for name, points in drawn.items():
        across = width * (left + (right - left) * values[name].frames / 90)
        np.testing.assert_allclose(points[:, 0], across, atol=1e-3)
    both = np.concatenate([drawn[name][:, 1] for name in values])
    given = np.concatenate([values[name].probability for name in values])
    slope, offset = np.polyfit(given, both, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * given + offset, both, atol=1e-3)


def test_motion_is_that_of_velocity_and_acceleration() -> None:
    drawn = lines(plots.motion("name", clip(), "dRNN & <more>"))
    norms = clip().traces["dRNN & <more>"].norms
    assert norms is not None
    both = np.concatenate([drawn[name][:, 1] for name in plots.MOTION])
    given = np.concatenate([norms[:, 1], norms[:, 2]])
    slope, offset = np.polyfit(given, both, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * given + offset, both, atol=1e-3)


@pytest.mark.parametrize(("fps", "axis"), [(25.0, "frame of the clip, 25 a second"), (None, "frame of the clip")])
def test_axes_say_what_they_show(fps: float | None, axis: str) -> None:
    assert {axis, "probability [%]", "0", "100"} <= texts(plots.probabilities("name", clip(fps), ["LSTM"]))
    assert {axis, "norm (no unit)"} <= texts(plots.motion("name", clip(fps), "dRNN & <more>"))
    curves = {"LSTM": [Curves((2.0, 1.0))]}
    assert {"epoch", "training loss"} <= texts(plots.losses("name", curves, list(curves)))


def test_losses_are_the_means_over_runs() -> None:
    curves = {
        "one": [Curves((4.0, 2.0, 1.0)), Curves((2.0, 1.0, 0.5, 0.2))],  # the second went on for longer
        "other": [Curves((1.0, 3.0, 5.0, 7.0))],
    }
    drawn = lines(plots.losses("name", curves, ["another", "one", "other"]))
    both = np.concatenate([drawn["one"][:, 1], drawn["other"][:, 1]])
    given = np.array([3.0, 1.5, 0.75, 1.0, 3.0, 5.0, 7.0])
    slope, offset = np.polyfit(given, both, 1)
    np.testing.assert_allclose(slope * given + offset, both, atol=1e-3)
    np.testing.assert_allclose(drawn["one"][:, 0], drawn["other"][:3, 0])


def test_no_two_lines_look_alike() -> None:
    names = [str(number) for number in range(30)]
    styles = plots.styles(names)
    assert len(set(styles.values())) == 30
    first = list(styles.values())[:5]
    assert len({style.colour for style in first}) == len({style.dashes for style in first}) == 5
    assert plots.styles(names[:7]) == {name: styles[name] for name in names[:7]}


def test_drawings_of_one_page_share_no_identifier_and_repeat() -> None:
    drawn = timelines.drawn([clip(), clip(None), TracedClip("lost", "walking")], list(clip().traces))
    assert [bool(each.probabilities) for each in drawn] == [True, True, False]
    assert [list(each.motions) for each in drawn] == [["dRNN & <more>"], ["dRNN & <more>"], []]
    whole = [drawing for each in drawn for drawing in (*each.motions.values(), each.probabilities)]
    identifiers = re.findall(r' id="([^"]+)"', "".join(whole))
    assert identifiers
    assert len(identifiers) == len(set(identifiers))
    again = timelines.drawn([clip(), clip(None), TracedClip("lost", "walking")], list(clip().traces))
    assert again == [each._replace(clip=other.clip) for each, other in zip(drawn, again, strict=True)]
    assert not re.search(r"#0102\d\d", "".join(whole))  # every colour became one of the page's


def test_a_drawing_is_a_plain_element_in_the_pages_font_and_names_stay_what_they_are() -> None:
    name = '#010203 & "tip:" <svg'  # a colour's placeholder among what else may be mistaken for markup
    drawing = plots.losses("name", {name: [Curves((2.0, 1.0))]}, [name])
    assert drawing.startswith('<svg role="img" aria-label="training loss by epoch" xmlns="http://www.w3.org/2000/svg"')
    assert lines(drawing).keys() == {name}
    root = ElementTree.fromstring(drawing)
    assert {element.tag.rpartition("}")[0] for element in root.iter()} == {SVG.rstrip("}")}
    attributes = [attribute for element in root.iter() for attribute in element.attrib.items()]
    assert not [attribute for attribute, _ in attributes if "{" in attribute]
    styles = [value for attribute, value in attributes if attribute == "style"]
    assert any("font-size: 11px" in style for style in styles)
    assert not [style for style in styles if "font-family" in style or "font:" in style]
    targets = {value for attribute, value in attributes if attribute == "href"}
    assert targets == {f"#{element.attrib['id']}" for element in root.iter() if element.tag == f"{SVG}path"
                       and "id" in element.attrib}  # fmt: skip
    assert targets


@pytest.mark.parametrize(
    ("classes", "shown"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (6, [1, 3, 5]), (20, [3, 10, 16])]
)
def test_clips_are_the_first_of_classes_that_lie_evenly(classes: int, shown: list[int]) -> None:
    tested = [f"{place}-{label}" for place in range(3) for label in reversed(range(classes))]
    labels: dict[str, tuple[int, ...]] = {video: (int(video.partition("-")[2]),) for video in tested}
    assert choose(labels, tested) == tuple(f"0-{label}" for label in shown)
    assert len(shown) <= SHOWN
    assert choose({**labels, "untested": (0,)}, tested[::-1]) == tuple(f"2-{label}" for label in shown)


def test_clips_of_several_experiments_become_one_where_the_data_set_is_one() -> None:
    traces = clip().traces
    parts = [TracedClip("a", "x", 9, None, ("picture",), {name: trace}) for name, trace in traces.items()]
    lost = TracedClip("b", "x")
    same = [Compared(name, "set", "", (), clips=(part, lost)) for name, part in zip("mn", parts, strict=True)]
    (merged,) = together(same)
    assert (merged.video, merged.strip, list(merged.traces)) == ("a", ("picture",), list(traces))
    for name, trace in merged.traces.items():
        assert (trace.probability is traces[name].probability, trace.norms) == (True, None)
    other = Compared("o", "another set", "", (), clips=(parts[0],))
    assert [list(each.traces) for each in together([*same, other])] == [list(traces), list(traces)[:1]]


def test_maps_lie_in_the_middle_of_their_frame() -> None:
    maps = np.zeros((2, 48, 28))
    maps[0, 0, 0], maps[1, 47, 27] = 5.0, 0.001
    frame, first, second = (decoded(picture) for picture in feature_maps.pictures(np.zeros((54, 34)), maps))
    assert frame.shape == (54, 34, 3)
    assert np.ptp(frame) < 8
    for shown, place in ((first, (3, 3)), (second, (50, 30))):
        orange = shown[..., 0] - shown[..., 2]
        assert np.unravel_index(orange.argmax(), orange.shape) == place
        assert orange[place] > 150
        assert np.count_nonzero(orange > 40) == 1


def test_maps_are_those_of_the_frame_that_is_shown() -> None:
    window = np.random.default_rng(0).normal(size=(9, 54, 34)).astype(np.float32)
    network = ConvNet(classes=3)
    with torch.no_grad():  # each map sees one pixel of its own
        network.c1.weight.zero_()
        for place in range(7):
            network.c1.weight[place, 2, 3, place] = 1 + place
    frame, maps = first_maps(network, window)
    np.testing.assert_array_equal(frame, window[4])
    assert maps.shape == (7, 48, 28)
    for place, answers in enumerate(maps):
        expected = np.abs(np.tanh((1 + place) * frame[3:51, place : place + 28]))
        np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-6)


def decoded(picture: str) -> np.ndarray:
    """The middles of the enlarged pixels, RGB."""
    import base64

    import cv2

    data = base64.b64decode(picture.partition("base64,")[2].partition('"')[0])
    enlarged = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert enlarged is not None
    step = feature_maps.ENLARGED
    return enlarged[step // 2 :: step, step // 2 :: step, ::-1].astype(int)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tasks.Evaluate]]:
    """Three experiments on skeleton files of three classes; the first test video of the first cannot be used."""
    root = tmp_path_factory.mktemp("pictures")
    write_files(root / "files")
    for key, value in {"store": root / "store", "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))
    luigi.task_register.Register.clear_instance_cache()
    made = {
        "both": recipe(root, "both", ["dRNN", "LSTM"], 'fusion = { rule = "product" }\nseeds = [0, 1]'),
        "res": recipe(root, "res", ["Res-LSTM"]),
        "svm": recipe(root, "svm", ["SVM"]),
    }
    yield {name: tasks.Evaluate(experiment=str(path)) for name, path in made.items()}
    get_config().remove_section("kinescope")


def write_files(root: Path) -> None:
    root.mkdir()
    manifest = ["path,label,split"]
    for number in range(18):
        rng = np.random.default_rng(number)
        joints = rng.normal(size=(1, 20, 3)) + rng.normal(scale=0.05, size=(16, 20, 3)).cumsum(0)
        rows = np.concatenate([joints, np.ones((16, 20, 1))], axis=2).reshape(-1, 4)
        np.savetxt(root / f"video{number:02d}.txt", rows, fmt="%.6f")
        manifest.append(f"video{number:02d}.txt,{'abc'[number % 3]},{'train' if number < 12 else 'test'}")
    (root / f"{BAD}.txt").write_text("nothing of use\n")
    (root / "manifest.csv").write_text("\n".join(manifest) + "\n")


def recipe(root: Path, title: str, streams: Sequence[str], more: str = "") -> Path:
    parts = [f'title = "{title}"', more, f'[dataset]\nname = "folder"\nroot = "{root / "files"}"']
    for label in streams:
        fields = re.sub(r", (model = )", r"\n\1", STREAMS[label])
        parts.append(f'[[streams]]\nlabel = "{label}"\nextractor = {{ name = "skeleton" }}\n{fields}')
    path = root / f"{title}.toml"
    path.write_text("\n".join(parts))
    return path


def ran(task: Any) -> Any:
    if not task.complete():
        assert luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR")
    return task


def test_a_trace_ends_with_the_stored_scores(experiments: dict[str, tasks.Evaluate]) -> None:
    task = ran(experiments["both"])
    shown = illustrate(task.runs, gather(task.runs, task.fingerprint)).clips
    assert [(clip.video, clip.label) for clip in shown] == [(BAD, "a"), ("video13", "b"), ("video14", "c")]
    assert not shown[0].traces
    for clip in shown[1:]:
        assert (clip.length_frames, clip.fps, list(clip.traces)) == (16, None, ["dRNN", "LSTM"])
        assert len(clip.strip) == thumbnails.TIMELINE.pictures
        for stage in task.runs.predictions(0, 0):
            trace = clip.traces[stage.stream.title]
            scores = Scores.load(stage.path())
            told = scores.probabilities()[scores.ids.index(clip.video), scores.classes.index(clip.label)]
            assert trace.probability[-1] == pytest.approx(told, rel=1e-5)
            assert np.ptp(trace.probability) > 0
            steps = stage.stream.model.steps or 16
            starts = Store(stage.features[0].path()).read(clip.video).arrays["start_frames"]
            np.testing.assert_array_equal(trace.frames, starts[resample(len(starts), steps)])
        assert clip.traces["LSTM"].norms is None
        norms = clip.traces["dRNN"].norms
        assert norms is not None
        assert norms[0].tolist() == pytest.approx([norms[0, 0]] * 3)  # before the clip all states are 0


def test_explained_energy_is_that_of_the_training_rows(experiments: dict[str, tasks.Evaluate]) -> None:
    task = ran(experiments["both"])
    (explained,) = gather(task.runs, task.fingerprint).explained
    prediction, _ = task.runs.predictions(0, 0)
    store = Store(prediction.features[0].path())
    rows = np.concatenate([store.read(f"video{number:02d}").arrays["features"] for number in range(12)])
    variances = np.linalg.svd((rows - rows.mean(0)).astype(float), compute_uv=False) ** 2
    assert explained.energy == pytest.approx(variances[:3].sum() / variances.sum(), rel=1e-5)
    assert (explained.reducer, explained.components) == ("dRNN", 3)
    (stage,) = prediction.reduction()
    assert explained.energy == load_reducer(stage.path())["energy"]
    assert f"<td>{100 * explained.energy:.2f}</td>" in (task.folder() / "report.html").read_text()


def test_the_report_says_what_the_extraction_spent_its_time_on(experiments: dict[str, tasks.Evaluate]) -> None:
    task = ran(experiments["both"])
    (spent,) = gather(task.runs, task.fingerprint).times
    assert spent.videos == len(library(task.runs.recipe.dataset).listing.videos)
    assert 0 < spent.computing + spent.waiting + spent.writing <= spent.wall
    page = (task.folder() / "report.html").read_text()
    assert "Time of the extraction" in page
    assert f'<td class="text">{spent.limit}</td>' in page
    assert f"<td>{spent.wall:.1f}</td>" in page


def test_what_says_nothing_step_by_step_is_not_drawn(experiments: dict[str, tasks.Evaluate]) -> None:
    task = ran(experiments["svm"])
    assert illustrate(task.runs, gather(task.runs, task.fingerprint)).clips == ()
    assert 'id="steps"' not in (task.folder() / "report.html").read_text()
    assert 'id="steps"' in (ran(experiments["both"]).folder() / "report.html").read_text()


def test_several_experiments_are_drawn_together(experiments: dict[str, tasks.Evaluate]) -> None:
    names = [task.experiment for task in experiments.values()]
    everything = ran(tasks.EvaluateAll(experiments=names))
    page = Path(everything.output().path)
    assert f"report: {page}" in everything.summary().splitlines()
    text = page.read_text()
    links = re.findall(r'href="([^#"]+)"', text)
    assert [(page.parent / link).resolve() for link in links] == [
        task.folder() / "report.html" for task in experiments.values()
    ]
    drawn = [
        lines(drawing) for drawing in re.findall(r"<svg role.*?</svg>", text, flags=re.DOTALL) if "<title>" in drawing
    ]
    losses, *clips = (set(map(unescape, each)) for each in drawn)
    both = {"both: dRNN", "both: LSTM", "res"}
    assert losses == both
    assert clips == [both] * 2
    page.unlink()
    assert not everything.complete()
    ran(everything)
    assert page.read_text() == text


def test_a_damaged_reducer_is_fitted_again_for_the_report(experiments: dict[str, tasks.Evaluate]) -> None:
    task = ran(experiments["res"])
    (stage,) = task.runs.predictions(0, 0)[0].reduction()
    page = task.folder() / "report.html"
    text, whole = page.read_text(), stage.path().read_bytes()
    stage.path().write_bytes(whole[:-9])
    page.unlink()
    ran(task)
    assert stage.path().with_name("reducer.safetensors.damaged-1").exists()
    assert load_reducer(stage.path())["energy"] > 0
    assert page.read_text() == text


def test_a_damaged_network_is_trained_again_for_the_page(experiments: dict[str, tasks.Evaluate]) -> None:
    everything = ran(tasks.EvaluateAll(experiments=[experiments["res"].experiment]))
    (training,) = ran(experiments["res"]).runs.predictions(0, 0)[0].training()
    text = Path(everything.output().path).read_text()
    training.path().write_bytes(training.path().read_bytes()[:-9])
    Path(everything.output().path).unlink()
    ran(everything)
    assert training.path().with_name("network.safetensors.damaged-1").exists()
    assert Path(everything.output().path).read_text() == text
