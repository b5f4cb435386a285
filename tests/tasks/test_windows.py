"""Films asked about window by window: segments where the scenes change, and every frame decoded once."""

import csv
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import luigi
import numpy as np
import pytest
from luigi.configuration import get_config

import tasks
from data.given import gather, in_windows
from extractors import HOG3DRows
from extractors.base import Clip
from pipeline.errors import InputError
from pipeline.results.segments import Moments
from pipeline.store import Store
from pipeline.video import film as films
from pipeline.video.annotate import captioned
from pipeline.video.decode import read
from pipeline.video.film import Film
from tasks import given_videos
from tests.support.equality import same_rows
from tests.support.stripe_films import FPS, experiment, splice

SCENES = [("across", 62), ("down", 47), ("across", 55)]
CHANGES_S = [6.2, 10.9]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stripes")
    experiment(folder)
    splice(folder / "film.mp4", SCENES)
    return folder


@pytest.fixture(autouse=True)
def settings(folder: Path) -> Iterator[None]:
    luigi.task_register.Register.clear_instance_cache()
    for key, value in {"store": folder / "store", "device": "cpu"}.items():
        get_config().set("kinescope", key, str(value))
    yield
    get_config().remove_section("kinescope")


def classify(folder: Path, *videos: Path, ends: bool = True, **named: Any) -> tasks.Classify:
    task = tasks.Classify(experiment=str(folder / "stripes.toml"), videos=tuple(map(str, videos)), **named)
    assert luigi.build([task], local_scheduler=True, workers=1, log_level="CRITICAL") is ends
    return task


def segments(task: tasks.Classify) -> list[dict[str, str]]:
    with (task.folder() / "segments.csv").open() as file:
        return list(csv.DictReader(file))


def test_segments_end_within_a_stride_of_the_scenes(folder: Path) -> None:
    stride_s = 0.5
    task = classify(folder, folder / "film.mp4", window_s=2.5, stride_s=stride_s)
    found = segments(task)
    assert [(each["video"], each["class"]) for each in found] == [("film", name) for name, _ in SCENES]
    assert float(found[0]["start_s"]) == 0
    assert float(found[-1]["end_s"]) == pytest.approx(sum(frames for _, frames in SCENES) / FPS, abs=1e-3)
    for before, after, change_s in zip(found, found[1:], CHANGES_S, strict=False):
        assert before["end_s"] == after["start_s"]
        assert abs(float(before["end_s"]) - change_s) <= stride_s
    told = json.loads((task.folder() / "predictions.json").read_text())
    assert len(told["videos"]) == 29
    assert [each["name"] for each in told["segments"]["film"]] == [name for name, _ in SCENES]
    page = (task.folder() / "predictions.html").read_text()
    assert "3 segments" in page
    assert page.count("<img") == 8
    assert "across" in (task.folder() / "table.txt").read_text().splitlines()[3]


def test_a_film_is_opened_and_decoded_once_for_all_its_windows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, decoded = Counter[str](), Counter[str]()
    presented = films.presented

    def counted(path: Path, fps: float | None) -> Iterator[Any]:
        opened[path.name] += 1
        for shown in presented(path, fps):
            decoded[path.name] += 1
            yield shown

    monkeypatch.setattr(films, "presented", counted)
    splice(folder / "another.mp4", SCENES, shift=1)
    classify(folder, folder / "another.mp4", window_s=2.0, stride_s=1.0)
    assert opened == {"another.mp4": 1}
    assert decoded == {"another.mp4": sum(frames for _, frames in SCENES)}


def test_rows_of_a_window_are_those_of_the_span_alone(folder: Path) -> None:
    task = classify(folder, folder / "film.mp4", window_s=2.5, stride_s=0.5)
    (prediction,) = task.predictions(task.contents.members[0])
    (features,) = prediction.features
    store, raw = Store(features.path()), HOG3DRows().open("cpu")
    film = Film(folder / "film.mp4")
    spans = [window[1:] for window in task.answers().windows.values()]
    assert len(store.ids()) == len(spans)
    for span in (spans[0], spans[7], spans[-1]):
        alone, within = (list(raw(Clip(folder / "film.mp4", span_s=span, film=each))) for each in (None, film))
        assert same_rows(alone, within)
        assert within[0]["times"][0] == pytest.approx(span[0], abs=1 / FPS)


def test_where_a_film_is_cut_off_its_last_window_fails_and_the_others_are_answered(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mkv"
    _remux(splice(tmp_path / "whole.mp4", SCENES), broken)
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) * 2 // 3])
    task = classify(folder, broken, ends=False, window_s=2.0, stride_s=1.0)
    told = json.loads((task.folder() / "predictions.json").read_text())
    (failed,) = told["failures"]
    assert failed > max(told["videos"])
    assert "cut off" in told["failures"][failed]["reason"]
    assert [each["name"] for each in told["segments"]["broken"]] == ["across", "down"]


def _remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)


def test_a_video_no_longer_than_a_window_is_one(folder: Path) -> None:
    task = classify(folder, folder / "clips" / "down" / "0.mp4", window_s=60.0)
    (found,) = segments(task)
    assert (found["video"], found["class"]) == ("0", "down")
    whole = classify(folder, folder / "clips" / "down" / "0.mp4")
    assert not segments(whole)
    one, other = (json.loads((each.folder() / "predictions.json").read_text())["videos"] for each in (task, whole))
    assert [each["probabilities"] for each in one.values()] == [each["probabilities"] for each in other.values()]


def test_annotated_copies_say_what_the_segments_say(folder: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"window_s": 2.5, "stride_s": 0.5, "out": str(tmp_path / "out")}
    plain = classify(folder, folder / "film.mp4", **asked)
    assert not list((tmp_path / "out").rglob("*.mp4"))
    task = classify(folder, folder / "film.mp4", annotate=True, **asked)
    assert plain.complete()
    (copy,) = (tmp_path / "out").rglob("*.mp4")
    before, after = read(folder / "film.mp4"), read(copy)
    said = task.answers().captions("film")
    assert said(1.0).startswith("across  ")
    assert said(8.0).startswith("down  ")
    assert len(after.frames) == len(before.frames)
    for time, frame, other in zip(before.times, before.frames, after.frames, strict=True):
        assert np.abs(captioned(frame, said(time)).astype(int) - other).mean() < 4
    copy.unlink()
    luigi.task_register.Register.clear_instance_cache()
    assert not tasks.Classify(
        experiment=task.experiment, videos=(str(folder / "film.mp4"),), annotate=True, **asked
    ).complete()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"stride_s": 1.0}, "without window_s; the length of windows is needed"),
        ({"window_s": 2.0, "stride_s": 3.0}, "0.001 <= stride <= window is needed"),
        ({"window_s": 0.0}, "0.001 <= stride <= window is needed"),
        ({"window_s": 2.0, "stride_s": 0.0001}, "0.001 <= stride <= window is needed"),
        ({"videos": ("nowhere.mp4",)}, "there is no such file or folder"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(folder: Path, named: dict[str, Any], said: str) -> None:
    asked = {"experiment": str(folder / "stripes.toml"), "videos": (str(folder / "film.mp4"),)}
    task = tasks.Classify(**asked | named)
    with pytest.raises(InputError, match=said):
        list(task.needed())


@pytest.mark.parametrize("stride_s", [0.3, 1.0, 2.0])
def test_windows_cover_the_film_and_follow_one_another(folder: Path, stride_s: float) -> None:
    listed = in_windows(gather([str(folder / "film.mp4")], frozenset({"video"})), 2.0, stride_s)
    spans = np.array(list(listed.windows["film"].values()))
    assert spans[0, 0] == 0
    assert spans[-1, 1] == pytest.approx(16.4, abs=1e-3)
    assert np.allclose(np.diff(spans, axis=1), 2)
    steps = np.diff(spans[:, 0])
    assert np.allclose(steps[:-1], stride_s)
    assert 0 < steps[-1] <= stride_s + 1e-6
    assert list(listed.windows["film"]) == sorted(listed.windows["film"])


def test_annotated_copies_are_no_new_videos(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    splice(tmp_path / "clips" / "clip.mp4", [("down", 20)])
    for _ in range(2):
        luigi.task_register.Register.clear_instance_cache()
        task = classify(folder, tmp_path / "clips", annotate=True, out=str(tmp_path / "clips"))
        assert list(json.loads((task.folder() / "predictions.json").read_text())["videos"]) == ["clip"]
    assert len(list((tmp_path / "clips").rglob("*.mp4"))) == 2


def test_lengths_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splice(folder / "third.mp4", [("down", 50)])
    first = given_videos.windows(gather([str(folder / "third.mp4")], frozenset({"video"})), 2.0, 1.0)
    monkeypatch.setattr(given_videos, "in_windows", lambda *_: pytest.fail("the film is read again"))
    assert given_videos.windows(gather([str(folder / "third.mp4")], frozenset({"video"})), 2.0, 1.0) == first


def test_moments_of_an_hour_take_little_memory() -> None:
    starts = np.arange(0, 3600, 0.3)
    tracemalloc.start()
    moments = Moments.of([(start, start + 4.0) for start in starts], np.full((len(starts), 5), 0.2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert np.allclose(moments.probabilities, 0.2)
