import os
from pathlib import Path

import pytest
from luigi.configuration import get_config

from tasks.runtime.start import start
from tests.support.paths import ROOT

pytest.register_assert_rewrite("tests.support")

# Tests run beside each other: more threads a process would only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data. Skips where it is absent."""
    folder = Path(os.environ.get("KINESCOPE_SHARED", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set KINESCOPE_SHARED to its folder")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _tasks_run_in_the_tests_process() -> None:
    """What a test changes must hold in the task; whoever wants workers of their own starts a luigi."""
    start()
    get_config().set("worker", "force_multiprocessing", "false")
