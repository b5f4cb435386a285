"""What a run shows on a terminal: one line for all of it, a line for each worker, and at the end what came out."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from luigi.configuration import get_config

from pipeline.files import progress
from pipeline.files.progress import Bar, show_in
from pipeline.rows import Failure, Keys, Row
from pipeline.store.fill import fill
from pipeline.store.journal import Journal
from tasks.commands.progress import overall
from tasks.runtime.display import CLEAR
from tests.support.paths import ROOT
from tests.support.recipes import SMALL
from tests.support.small_experiment import Small

STUCK_S = 400
"""Seconds after which a command counts as stuck."""
RECIPE = (
    'title = "shown"\n'
    + SMALL
    + """
[[streams]]
label = "frames of people"
extractor = { name = "convnet3d", stride_frames = 8, network = { stride_frames = 8, fit = { epochs = 1, lr = 0.001 } } }
model = { name = "consensus", rule = "vote" }
"""
)


def on_terminal(folder: Path, *words: str, program: str = "from tasks.commands.app import app; app()") -> str:
    """What a command writes to a terminal of 40 lines of 100 letters, which it must end well on."""
    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-c", program, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as run:
        os.close(terminal)
        stuck = threading.Timer(STUCK_S, os.killpg, (run.pid, signal.SIGKILL))
        stuck.start()
        read = b""
        try:
            while part := os.read(main, 2**16):
                read += part
        except OSError:  # it has been closed
            pass
        os.close(main)
        run.wait()
        stuck.cancel()
    assert run.returncode == 0, read.decode()
    return read.decode()


def test_a_run_shows_itself_and_clears_up(tmp_path: Path) -> None:
    (tmp_path / "shown.toml").write_text(RECIPE.replace("epochs = 1", "epochs = 15"))  # long enough to be seen
    shown = on_terminal(tmp_path, "run", "shown.toml")
    frames = shown.split(CLEAR)
    stages = [match for frame in frames if (match := re.match(r"stage (\d) of (\d): \w+ \w+, (\d+) of \d+ \w+", frame))]
    assert [int(match[1]) for match in stages] == sorted(int(match[1]) for match in stages)
    assert {match[2] for match in stages} <= {"1", "2", "3", "4", "5"}
    lines = [line for frame in frames for line in frame.splitlines()[1:] if line.startswith("  ")]
    assert any(re.match(r"  \w+ · (shard|fit) .*: +\d+%\|[^#]*\|", line) for line in lines), lines
    assert all(len(line) < 120 for line in lines)
    *_, last = frames
    assert last.lstrip().startswith("shown")
    assert "new videos: kinescope predict shown.toml PATH…" in last
    assert "\x1b" not in last
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"kinescope-progress-*/{os.getpid()}"))


@pytest.mark.slow
def test_several_experiments_at_once_are_shown_to_the_end(tmp_path: Path) -> None:
    """The first report to be ready does not end what is shown of the others, nor them."""
    for number in (1, 2):
        (tmp_path / f"e{number}.toml").write_text(RECIPE.replace("epochs = 1", f"epochs = {number}"))
    (tmp_path / "luigi.cfg").write_text("[core]\nworkers = 2\n")
    command = "from luigi.cmdline import luigi_run; luigi_run()"
    asked = ("EvaluateAll", "--experiments", '["e1.toml", "e2.toml"]')
    shown = on_terminal(tmp_path, "--module", "tasks", *asked, program=command)
    *_, last = shown.split(CLEAR)
    assert "table:" in last
    assert "Traceback" not in shown


def test_two_workers_have_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_line", None)
    for number in (1, 2):
        show_in(tmp_path / str(number), f"TSN RGB · shard {number} of 2")
        bar = Bar(range(10), desc="extracting", unit="video", mininterval=0, miniters=1)
        bar.update(3)
        assert (tmp_path / str(number)).read_text().startswith(f"TSN RGB · shard {number} of 2: extracting:  30%|")
    bar.close()


def test_where_a_line_cannot_be_written_the_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_line", None)
    show_in(tmp_path / "gone" / "1", "title")
    assert list(Bar(range(3), mininterval=0)) == [0, 1, 2]


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(Bar(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_resumed_shard_begins_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "pipeline.store.fill.Bar", lambda **named: began.append((named["initial"], named["total"])) or Bar(**named)
    )
    videos = [Keys(f"v{number}", "d" * 64, (f"{number:032x}",)) for number in range(5)]
    journal = Journal(tmp_path / "stage-0123456789ab" / "journal-000")
    for keys in videos[:3]:
        journal.fail(keys, Failure("unusable"))
    row = Row({"features": np.zeros((1, 2), np.float32), "start_frames": np.zeros(1, np.int64)}, {"frames": 1})
    fill(
        tmp_path / "stage-0123456789ab" / "000.h5",
        videos,
        nullcontext,
        lambda: lambda _: [row],
        journal=journal,
        earlier={},
        provenance=dict,
    )
    assert began == [(3, 5)]


def test_failures_so_far(tmp_path: Path) -> None:
    for key, value in {"store": tmp_path / "store", "device": "cpu", "max_failed_videos": 1}.items():
        get_config().set("kinescope", key, str(value))
    try:
        small = Small(tmp_path).fill()
        assert overall(small.experiment()) == "looking at the videos"
        small.run()
        assert overall(small.experiment()) == "all 7 stages are complete, 1 failure so far: the report is next"
        (shard,) = small.experiment().runs.predictions(0, 0)[0].features[0].requires()
        shard.path().unlink()
        for keys in shard.videos()[:3]:
            Journal(shard.journal).fail(keys, Failure("unusable", 0))
        assert overall(small.experiment()).startswith("stage 1 of ")
        assert ": Extract skeleton, 3 of 8 videos, 3 failures so far, about " in overall(small.experiment())
    finally:
        get_config().remove_section("kinescope")
