"""Processes that prepare change no row; whatever happens to one, the right video is named and the others go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import pipeline.preparation.preparers as preparing
from pipeline.errors import InputError, lack_of_memory
from pipeline.files.crash_notes import notes
from pipeline.preparation.preparers import Preparers, preparers
from pipeline.rows import Failure, Keys
from pipeline.store import Store, provenance
from pipeline.store.fill import fill
from pipeline.store.journal import Journal
from tests.support import prepared
from tests.support.equality import same_rows
from tests.support.paths import ROOT


def keys(name: str, digest: str = "") -> Keys:
    return Keys(name, digest or f"digest-{name}", (f"key-{name}",))


def filled(folder: Path, videos: Sequence[Keys], processes: int) -> Store:
    fill(
        folder / "shard.h5",
        videos,
        prepared.by_id,
        lambda: prepared.EXTRACTION,
        journal=Journal(folder / "journal"),
        earlier={},
        provenance=dict,
        processes=processes,
    )
    return Store(folder / "shard.h5")


@pytest.fixture(autouse=True, scope="module")
def _ended() -> Iterator[None]:
    yield
    preparing.end()


@pytest.mark.parametrize("memory", [preparing.MEMORY_BYTES, 40_000, 1000])  # all batches, two at a time, none
def test_rows_are_the_same_to_the_last_bit(memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "MEMORY_BYTES", memory)
    preparing.end()
    videos = [keys(f"v{number}") for number in range(12)]
    here, beside = filled(tmp_path / "here", videos, 0), filled(tmp_path / "beside", videos, 2)
    assert beside.ids() == here.ids() == sorted(video.id for video in videos)
    for video in here.ids():
        assert same_rows(beside.rows(video), here.rows(video))
    for store in ("here", "beside"):
        origin = provenance(tmp_path / store / "shard.h5")
        assert origin["seconds"].keys() == {"waiting", "computing", "writing"}
        assert all(second >= 0 for second in origin["seconds"].values())
        assert sum(origin["seconds"].values()) <= origin["wall_s"] + 0.002
    preparing.end()


def test_the_videos_of_one_file_are_prepared_by_one_process() -> None:
    videos = [keys(f"v{number}", digest=f"file {number // 4}") for number in range(12)]
    processes: dict[str, set[object]] = {}
    with preparers(2) as beside:
        for video, items in beside.videos(prepared.prepare, prepared.by_id, videos):
            processes.setdefault(video.source_digest, set()).add(list(items)[-1].attributes["process"])  # type: ignore[union-attr]
    assert sorted(map(len, processes.values())) == [1, 1, 1]


def test_what_is_prepared_of_a_video_and_not_wanted_is_left_out() -> None:
    with preparers(1) as beside:
        seen = [
            (video.id, next(items).shape)  # type: ignore[union-attr]
            for video, items in beside.videos(prepared.prepare, prepared.by_id, [keys("a"), keys("b")])
        ]
    assert seen == [("a", prepared.BATCH), ("b", prepared.BATCH)]


def test_a_copy_of_a_file_is_computed_once(tmp_path: Path) -> None:
    one, other = keys("v1"), Keys("v2", "digest-v1", ("key-v1",))
    store = filled(tmp_path, [one, other], 1)
    assert same_rows(store.rows("v1"), store.rows("v2"))


def test_an_unusable_video_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    videos = [keys("v1"), keys("unusable-1"), keys("v2")]
    for processes in (0, 2):
        store = filled(tmp_path / str(processes), videos, processes)
        assert store.failures() == {"unusable-1": Failure("it shows nothing", 7)}
        assert store.ids() == ["v1", "v2"]


def test_a_video_that_crashes_its_process_twice_is_a_failure_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = [keys(name) for name in ("v1", "crashing-1", "v2", "v3", "crashing-2", "v4")]
    store = filled(tmp_path, videos, 2)
    assert store.ids() == ["v1", "v2", "v3", "v4"]
    assert store.failures().keys() == {"crashing-1", "crashing-2"}
    for failure in store.failures().values():
        assert failure.reason.startswith("the process that read it died 2 times: Segmentation fault in ")
    said = [record.getMessage() for record in caplog.records]
    for name in ("crashing-1", "crashing-2"):
        assert sum(message.startswith(f"a process that prepared {name} crashed: ") for message in said) == 2
    assert not (tmp_path / "journal").exists()


def test_a_crash_is_remembered_from_one_run_to_the_next(tmp_path: Path) -> None:
    journal, video = Journal(tmp_path / "journal"), keys("crashing-1")
    assert journal.record_crash(video, "killed") is None
    assert journal.record_crash(video, "Fatal Python error: Aborted") == "Aborted"
    assert notes(journal.folder) == {video.id: 1}
    failure = filled(tmp_path, [video, keys("v1")], 1).failures()[video.id]
    assert failure.reason.startswith("the process that read it died 2 times: Aborted; Segmentation fault in ")


def test_a_process_that_is_killed_from_outside_stops_the_shard_and_its_video_is_named(tmp_path: Path) -> None:
    videos = [keys("v1"), keys("killed-1"), keys("v2")]
    with pytest.raises(MemoryError, match=r"^a process that prepared killed-1 died of SIGKILL, as the system does"):
        filled(tmp_path, videos, 1)
    journal = Journal(tmp_path / "journal")
    assert keys("v1") in journal
    assert not any(video in journal for video in videos[1:])
    assert notes(journal.folder) == {}


def test_errors_of_the_machine_stop_the_shard_as_themselves_and_what_was_journaled_stays(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        filled(tmp_path, [keys("v1"), keys("changed-1"), keys("v2")], 1)
    assert caught.value.filename == "changed-1"
    with pytest.raises(ValueError, match="no frame") as starved:
        filled(tmp_path, [keys("v1"), keys("starved-1")], 1)
    assert isinstance(lack_of_memory(starved.value), MemoryError)  # what it came from comes with it
    assert keys("v1") in Journal(tmp_path / "journal")
    assert keys("changed-1") not in Journal(tmp_path / "journal")


def test_too_little_shared_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "MEMORY_BYTES", 2**50)
    with pytest.raises(InputError, match=r"^2 preparing processes share \d+ MiB of memory, and .* has \d+ MiB free"):
        Preparers(2)


ENDED = """
import sys
from pathlib import Path
from tests.pipeline.preparation.test_preparers import filled, keys
import pipeline.preparation.preparers as preparing

class Told(preparing.Preparers):
    def __init__(self, processes):
        super().__init__(processes)
        print(*[each.process.pid for each in self._all], flush=True)

preparing.Preparers = Told
filled(Path(sys.argv[1]) / "first", [keys("v1")], 2)
filled(Path(sys.argv[1]) / "next", [keys("slow-1"), keys("slow-2")], 2)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_it_prepares_for(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        started = list(map(int, process.stdout.readline().split()))
        while not notes(tmp_path / "next" / "journal"):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(how)
        process.wait(timeout=60)
    assert len(started) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)
