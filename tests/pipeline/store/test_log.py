"""Logs of finished videos: what is whole is kept, whatever happens to the rest of them, and damage is said."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import NewerFormat, UnusableVideo
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store
from pipeline.store.journal import Journal, finished
from pipeline.store.log import first_line
from pipeline.store.log_reader import LogReader
from pipeline.store.seal import seal
from tests.support.equality import same_rows
from tests.support.paths import ROOT

VIDEOS = [Keys(f"video {number}", "digest", (f"{number}-0", f"{number}-1")) for number in range(4)]
BAD = Keys("bad", "digest", ("bad-0",))


def rows(keys: Keys) -> list[Row]:
    """Two rows, larger the later the video comes; zeros in one array of each."""
    number = VIDEOS.index(keys)
    rng = np.random.default_rng(number)
    return [
        Row({"features": rng.random((2 + number, 3), np.float32), "zeros": np.zeros(9, np.uint8)}, {"frames": variant})
        for variant in range(2)
    ]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of four videos, of which one failed after the second."""
    journal = Journal(tmp_path / "stage-0123456789ab" / "journal-000-of-001")
    for keys in VIDEOS[:2]:
        journal.write(keys, rows(keys))
    journal.fail(BAD, Failure("no frame decodes", 3))
    for keys in VIDEOS[2:]:
        journal.write(keys, rows(keys))
    return journal.path(VIDEOS[0])


def ends(log: Path) -> list[int]:
    with LogReader(log) as reader:
        return [reader.start, *(record.end for record in reader.records())]


def found(journal: Journal) -> list[Keys]:
    return [keys for keys in (*VIDEOS, BAD) if keys in journal]


def seals_what_was_written(journal: Journal, shard: Path) -> None:
    """Compute again what the journal lacks, seal all, and compare it with what was written at first."""
    for keys in VIDEOS:
        if keys not in journal:
            journal.write(keys, rows(keys))
    seal(shard, VIDEOS, {keys.name: journal.path(keys) for keys in VIDEOS}, {})
    store = Store(shard)
    for keys in VIDEOS:
        expected = [
            Row(row.arrays, {**row.attributes, "key": key, "source_digest": "digest"})
            for row, key in zip(rows(keys), keys.variants, strict=True)
        ]
        assert same_rows(store.rows(keys.id), expected), keys


def test_cut_off_at_every_byte_what_is_whole_is_kept_and_the_rest_computed_again(log: Path, tmp_path: Path) -> None:
    content, places = log.read_bytes(), ends(log)
    order = [VIDEOS[0], VIDEOS[1], BAD, VIDEOS[2], VIDEOS[3]]
    for size in range(len(content)):
        log.write_bytes(content[:size])
        whole = order[: sum(size >= end for end in places[1:])]
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a torn end is as usual
            journal = Journal(log.parent)
            assert sorted(found(journal), key=str) == sorted(whole, key=str), size
        if size % 41 == 0:
            seals_what_was_written(journal, tmp_path / "shard.h5")
            assert sorted(path.name for path in log.parent.iterdir()) == ["rows-0.log", "rows-1.log"]
            log.with_name("rows-1.log").unlink()


@pytest.mark.parametrize("bit", [0x01, pytest.param(0x80, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_said_and_costs_no_more_than_the_record_it_is_in(
    log: Path, bit: int, tmp_path: Path
) -> None:
    content, places = log.read_bytes(), ends(log)
    for place in range(len(content)):
        log.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            journal = Journal(log.parent)
            lost = 5 - len(found(journal))
        if place < places[0]:
            assert lost == 5, place
        else:
            assert lost == 1, place
        # A length beyond the end of the file, in the last record, is that of a record which was not written to its end.
        if place < places[-2]:
            assert said, place
            assert "rows-0.log is damaged" in str(said[0].message), place
        if place % 41 == 0:
            seals_what_was_written(journal, tmp_path / "shard.h5")
            log.with_name("rows-1.log").unlink(missing_ok=True)


def test_holes_of_zeros_are_no_rows(log: Path, tmp_path: Path) -> None:
    """A crashed machine may leave them, and Fletcher-32 of zeros is zero."""
    content, places, rng = log.read_bytes(), ends(log), random.Random(0)
    for _ in range(60):
        start = rng.randrange(places[0], len(content))
        stop = rng.randrange(start, len(content)) + 1
        log.write_bytes(content[:start] + bytes(stop - start) + content[stop:])
        with warnings.catch_warnings(record=True):
            journal = Journal(log.parent)
            seals_what_was_written(journal, tmp_path / "shard.h5")
        log.with_name("rows-1.log").unlink(missing_ok=True)


def test_damage_after_the_journal_was_read_is_found_when_it_is_sealed(log: Path, tmp_path: Path) -> None:
    journal = Journal(log.parent)
    assert found(journal) == [*VIDEOS, BAD]
    content = bytearray(log.read_bytes())
    content[content.find(rows(VIDEOS[2])[1].arrays["features"].tobytes()) + 5] ^= 1
    log.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows-0.log is damaged .*set aside as rows-0.log.damaged-1: run again"):
        seal(tmp_path / "s.h5", VIDEOS, {keys.name: journal.path(keys) for keys in VIDEOS}, {})
    assert not (tmp_path / "s.h5").exists()
    seals_what_was_written(Journal(log.parent), tmp_path / "s.h5")


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyError])
def test_what_hdf5_finds_in_the_shard_that_it_writes_is_no_damage_of_the_log(
    error: type[Exception], log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk it reads again what was not written."""

    def fails(*_: object) -> None:
        raise error("incorrect metadata checksum after all read attempts")

    journal = Journal(log.parent)
    monkeypatch.setattr("pipeline.store.hdf5_rows._copy", fails)
    with pytest.raises(error, match="metadata checksum"):
        seal(tmp_path / "s.h5", VIDEOS, {keys.name: journal.path(keys) for keys in VIDEOS}, {})
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_what_is_no_log_is_said_and_computed_again(log: Path) -> None:
    for content in (b"\x00" * 500, b"text\n" * 100, b"{}\n"):
        log.write_bytes(content)
        with pytest.warns(RuntimeWarning, match=r"rows-0\.log is damaged .its first line"):
            assert found(Journal(log.parent)) == []
    log.unlink()
    log.symlink_to("nowhere")
    assert found(Journal(log.parent)) == []


def test_a_newer_log_is_refused_by_name_and_stays(log: Path) -> None:
    _, _, records = log.read_bytes().partition(b"\n")
    log.write_bytes(first_line("0123456789ab", "kinescope-store/3") + records)
    with pytest.raises(NewerFormat, match=r"rows-0\.log has the format kinescope-store/3"):
        found(Journal(log.parent))
    Journal(log.parent).discard_sealed([])
    assert finished(log.parent) == []
    assert log.exists()


def test_two_processes_never_write_to_the_same_log(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    for keys in VIDEOS[:2]:
        one.write(keys, rows(keys))
        other.write(keys, rows(keys))
    other.write(VIDEOS[2], rows(VIDEOS[2]))
    assert {one.path(VIDEOS[0]).name, other.path(VIDEOS[0]).name} == {"rows-0.log", "rows-1.log"}
    assert found(Journal(tmp_path)) == VIDEOS[:3]
    assert {each.key for each in finished(tmp_path)} == {"0-0", "1-0", "2-0"}
    seals_what_was_written(Journal(tmp_path), tmp_path / "s.h5")


def test_a_log_to_which_another_process_writes_is_not_removed(tmp_path: Path) -> None:
    """Its state of the data set has a video more, so that it goes on when the other's shard is sealed."""
    folder, shard = tmp_path / "journal", tmp_path / "s.h5"
    one, other = Journal(folder), Journal(folder)
    other.write(VIDEOS[0], rows(VIDEOS[0]))
    for keys in VIDEOS[:2]:
        one.write(keys, rows(keys))
    seal(shard, VIDEOS[:2], {keys.name: one.path(keys) for keys in VIDEOS[:2]}, {})
    one.discard(VIDEOS[:2])
    Journal(folder).discard_sealed([shard])
    other.write(VIDEOS[2], rows(VIDEOS[2]))
    assert found(Journal(folder)) == [VIDEOS[0], VIDEOS[2]]
    seal(tmp_path / "t.h5", [VIDEOS[2]], {keys.name: other.path(keys) for keys in VIDEOS[2:3]}, {})
    other.discard([VIDEOS[0], VIDEOS[2]])
    assert not folder.exists()


def test_logs_are_removed_once_all_that_they_hold_is_sealed(log: Path, tmp_path: Path) -> None:
    journal, shard = Journal(log.parent), tmp_path / "s.h5"
    seal(shard, [*VIDEOS[:2], BAD], {keys.name: journal.path(keys) for keys in (*VIDEOS, BAD)}, {})
    Journal(log.parent).discard_sealed([shard])
    assert log.exists()
    journal.discard([*VIDEOS[:2], BAD])
    assert log.exists()
    torn = log.with_name("rows-1.log")
    torn.write_bytes(log.read_bytes()[:150])
    seal(shard, [*VIDEOS, BAD], {keys.name: journal.path(keys) for keys in (*VIDEOS, BAD)}, {})
    Journal(log.parent).discard_sealed([shard])
    assert not log.exists()
    assert torn.exists()  # another process may be writing its first record
    journal.discard([*VIDEOS, BAD])
    assert not log.parent.exists()


@contextmanager
def limit(size: int) -> Iterator[None]:
    """A limit on the size of files, as a quota is one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_disk_does_not_take_leaves_the_log_as_it_was(log: Path) -> None:
    size, journal = log.stat().st_size, Journal(log.parent)
    more = Keys("more", "digest", ("more-0",))
    journal.write(more, [Row({"features": np.ones((9, 3))})])
    new = journal.path(more)
    before = new.read_bytes()
    large = Keys("large", "digest", ("large-0",))
    with limit(size + 1000), pytest.raises(OSError, match="File too large") as caught:
        journal.write(large, [Row({"features": np.ones((900, 300))})])
    assert caught.value.filename == str(new)
    assert new.read_bytes() == before
    with pytest.raises(UnusableVideo, match="mean came out as NaN"):
        journal.write(large, [Row({"mean": np.array(np.inf)})])
    assert new.read_bytes() == before
    with pytest.raises(UnusableVideo, match="features came out as NaN") as refused:
        journal.write(
            large, [Row({"bytes": np.ones(9_000_000, np.uint8), "features": np.array([np.nan])}, {"frames": 7})]
        )
    assert refused.value.frames_decoded == 7
    assert new.read_bytes() == before
    assert large not in journal
    journal.write(large, [Row({"features": np.ones((900, 300))})])
    assert found(Journal(log.parent)) == [*VIDEOS, BAD]
    assert large in Journal(log.parent)


def test_the_disk_is_asked_once_a_second_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    now = [time.monotonic()]
    monkeypatch.setattr("pipeline.store.log.time.monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fdatasync", lambda _: asked.append(now[0]))
    journal = Journal(tmp_path)
    for number in range(60):
        now[0] += 0.1
        journal.fail(Keys(str(number), "digest", (str(number),)), Failure("none"))
    assert 4 <= len(asked) <= 6
    assert min(np.diff(asked)) > 1
    journal.sync()
    assert asked[-1] == now[0]


WRITER = """
import sys
import numpy as np
from pathlib import Path
from pipeline.rows import Keys, Row
from pipeline.store.journal import Journal

journal = Journal(Path(sys.argv[1]))
for number in range(10**6):
    row = Row({"features": np.full((200, number % 97 + 1), number, np.float32)})
    journal.write(Keys(str(number), "digest", (str(number),)), [row])
    print(number, flush=True)
"""


def test_a_killed_process_loses_the_video_in_hand_and_no_more(tmp_path: Path) -> None:
    for kill in range(3):
        folder = tmp_path / str(kill)
        process = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout
        said = [int(process.stdout.readline()) for _ in range(200 + 37 * kill)]
        process.send_signal(signal.SIGKILL)
        said += map(int, re.findall(r"(\d+)\n", process.stdout.read()))
        process.wait()
        journal = Journal(folder)
        keys = [Keys(str(number), "digest", (str(number),)) for number in said]
        assert all(each in journal for each in keys)
        assert len(finished(folder)) - len(said) in (0, 1)
        seal(folder / "s.h5", keys, {each.name: journal.path(each) for each in keys}, {})
        for number in said:
            features = Store(folder / "s.h5").read(str(number)).arrays["features"] if number % 50 == 0 else None
            assert features is None or (features.shape[1] == number % 97 + 1 and (features == number).all())
        shutil.rmtree(folder)
