"""Crash notes: one a process, written anew for each video; a crash is counted for the video that was in hand."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.files.crash_notes import CrashNotes, notes, settle
from tests.support.paths import ROOT

DYING = """
import os, sys
from pathlib import Path
from pipeline.files.crash_notes import CrashNotes
notes = CrashNotes(Path(sys.argv[1]))
for video in sys.argv[3:]:
    with notes.attempt(f"key-of-{video[:6].strip()}", f"the {video}"):
        if video == sys.argv[3 + len(sys.argv[3:]) - 1]:
            os.kill(os.getpid(), int(sys.argv[2]))
"""


def dies(folder: Path, number: int, *videos: str) -> None:
    """A process that has finished all videos but the last one dies of a signal."""
    command = [sys.executable, "-c", DYING, str(folder), str(int(number)), *videos]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -number


def test_crashes_are_counted_for_the_video_in_hand_until_it_is_finished(tmp_path: Path) -> None:
    dies(tmp_path, signal.SIGSEGV, "first", "second")
    assert notes(tmp_path) == {"the second": 1}
    settle(tmp_path)
    assert notes(tmp_path) == {"the second": 1}
    dies(tmp_path, signal.SIGABRT, "second")
    assert notes(tmp_path) == {"the second": 2}
    dies(tmp_path, signal.SIGSEGV, "third")
    settle(tmp_path)
    assert notes(tmp_path) == {"the second": 2, "the third": 1}
    mine = CrashNotes(tmp_path)
    with mine.attempt("key-of-first", "the first") as crashes:
        assert crashes == []
        assert notes(tmp_path) == {"the first": 0, "the second": 2, "the third": 1}
    with suppress(ZeroDivisionError), mine.attempt("key-of-second", "the second") as crashes:
        assert [crash.partition(" in ")[0] for crash in crashes] == ["Segmentation fault", "Aborted"]
        raise ZeroDivisionError
    assert notes(tmp_path) == {"the second": 2, "the third": 1}
    with mine.attempt("key-of-second", "the second"):
        pass
    assert notes(tmp_path) == {"the third": 1}
    mine.discard({"key-of-third"})
    assert list(tmp_path.iterdir()) == []


def test_a_crash_counts_once_however_often_notes_are_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    dies(tmp_path, signal.SIGSEGV, "first")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with suppress(KeyboardInterrupt):
            settle(tmp_path)
    settle(tmp_path)
    assert notes(tmp_path) == {"the first": 1}


def test_a_process_that_died_between_two_videos_leaves_nothing_behind(tmp_path: Path) -> None:
    dies(tmp_path, signal.SIGSEGV, "first")
    (tmp_path / "process-1.started").touch()
    CrashNotes(tmp_path).discard(set())
    assert notes(tmp_path) == {"the first": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_an_id_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    dies(tmp_path, signal.SIGSEGV, "first\nsecond line")
    settle(tmp_path)
    assert notes(tmp_path) == {"the first second line": 1}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS])
def test_what_comes_from_outside_is_no_crash(number: int, tmp_path: Path) -> None:
    dies(tmp_path, number, "first")
    assert notes(tmp_path) == {"the first": 0}
    settle(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_has_one_note_which_names_no_video_between_two(tmp_path: Path) -> None:
    mine = CrashNotes(tmp_path)
    for number in range(3):
        with mine.attempt(f"key-{number}", "ein längerer Name" * number + str(number)):
            (note,) = tmp_path.iterdir()
            assert note.read_text(encoding="utf-8").partition("\n")[0].endswith(str(number))
            assert str(os.getpid()) in note.name
        assert notes(tmp_path) == {}
