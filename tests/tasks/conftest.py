import shutil
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
