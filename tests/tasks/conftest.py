import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import luigi
import pytest
from luigi.configuration import get_config

from tests.support.paths import ROOT
from tests.support.small_experiment import Small


@contextmanager
def settings(folder: Path) -> Iterator[None]:
    """What a run in a folder is told."""
    told = {"store": folder / "store", "shard_size": 3, "device": "cpu", "max_failed_videos": 1}
    for key, value in told.items():
        get_config().set("kinescope", key, str(value))
    try:
        yield
    finally:
        get_config().remove_section("kinescope")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, which takes its time."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "now").mkdir()
    with settings(folder / "now"):
        Small(folder / "now").fill().run()
    (folder / "now").rename(folder / "kept")
    return folder


@pytest.fixture
def small(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    """The finished run as it was, at its own place."""
    monkeypatch.chdir(ROOT)  # whose luigi.cfg is the project's: the settings stay as they are
    shutil.copytree(made / "kept", made / "now", symlinks=True)
    with settings(made / "now"):
        yield Small(made / "now")
    shutil.rmtree(made / "now")
    luigi.task_register.Register.clear_instance_cache()


@pytest.fixture
def no_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without drawings, which take two thirds of a small run's time."""
    monkeypatch.setattr("pipeline.report.plots._svg", lambda *_: "<svg></svg>")


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the runs of a test say, whatever earlier ones made of logging."""
    lines: list[str] = []

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    noted, log = Noted(), logging.getLogger("luigi-interface")
    level = log.level
    log.addHandler(noted)
    log.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: lines.append(str(message))
        yield lines
    log.setLevel(level)
    log.removeHandler(noted)
