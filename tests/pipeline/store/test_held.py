"""A file that another program has open for writing is no damaged one: it is waited for, and never renamed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DamagedStore, HeldOpen
from pipeline.rows import Keys, Row
from pipeline.store import Store, inspection, provenance
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, shards_by_key, write_index
from pipeline.store.sealed import verify
from tasks.commands.verification import verify as verify_all
from tests.support.paths import ROOT

READER = """
import sys
from pathlib import Path
from pipeline.store import held
held.MAX_WAIT_S = 0.3
try:
    held.open_when_free(Path(sys.argv[1]))
except held.HeldOpen as error:
    print(error)
"""
KEYS = Keys("a", "digest", ("a-0",))
WRITER = """
import sys
import h5py
with h5py.File(sys.argv[1], "r+", locking=sys.argv[2] == "locking") as file:
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    journal, path = Journal(tmp_path / "journal"), tmp_path / "stage" / "000-of-001-0123456789ab.h5"
    journal.write(KEYS, [Row({"features": np.ones((3, 2), np.float32)})])
    seal(path, [KEYS], {KEYS.name: journal.path(KEYS)}, {"stage": "test"})
    write_index(path.with_name("index-0123456789ab.h5"), [path], {"stage": "test"})
    return path


@contextmanager
def held(path: Path, locking: str = "locking") -> Iterator[subprocess.Popen[str]]:
    """Another program that has the file open for writing."""
    command = [sys.executable, "-c", WRITER, str(path), locking]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.held.MAX_WAIT_S", 0.3)


def index_of(shard: Path) -> Path:
    return shard.with_name("index-0123456789ab.h5")


READS: dict[str, Callable[[Path], object]] = {
    "rows": lambda shard: Store(index_of(shard)).read("a"),
    "partial": lambda shard: Store(shard).partial("a"),
    "provenance": provenance,
    "keys": lambda shard: shards_by_key([shard]),
    "verify": verify,
    "kinescope verify": lambda shard: list(verify_all([shard, index_of(shard)])),
    "inspect": lambda shard: inspection.contents([shard]),
    "inspect provenance": inspection.provenance,
    "check of the index": lambda shard: inspection.check(index_of(shard)),
    "seal": lambda shard: seal(shard.with_name("next.h5"), [KEYS], {KEYS.name: shard}, {}),
    "index": lambda shard: write_index(shard.with_name("next.h5"), [shard], {}),
}


def files(shard: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in shard.parent.iterdir()}


@pytest.mark.parametrize("read", READS)
@pytest.mark.usefixtures("impatient")
def test_what_another_program_holds_open_is_named_and_stays(shard: Path, read: str) -> None:
    before = files(shard)
    with (
        held(shard),
        pytest.raises(HeldOpen, match=r"000-of-001-0123456789ab\.h5 is open for writing in another progra"),
    ):
        READS[read](shard)
    assert files(shard) == before


@pytest.mark.parametrize("locking", ["locking", "no locking"])
@pytest.mark.usefixtures("impatient")
def test_after_a_killed_writer_the_sentence_names_what_mends_it(shard: Path, locking: str) -> None:
    with held(shard, locking) as writer:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(60)
        with pytest.raises(HeldOpen, match=rf"was killed, `h5clear -s {shard}` removes the mark"):
            Store(shard).read("a")
    assert shard.exists()
    if shutil.which("h5clear"):
        subprocess.run(["h5clear", "-s", str(shard)], check=True)
        Store(shard).read("a")


@pytest.mark.parametrize("read", READS)
def test_the_read_goes_on_once_the_other_program_has_closed_it(shard: Path, read: str) -> None:
    done = threading.Event()

    def reading() -> None:
        READS[read](shard)
        done.set()

    with held(shard) as writer:
        thread = threading.Thread(target=reading, daemon=True)
        thread.start()
        assert not done.wait(0.5)
        writer.communicate("close it\n", timeout=60)
        assert done.wait(50)
        thread.join(10)


def test_a_lock_of_the_system_is_no_damage_either(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 takes locks, whatever is asked of it, where the environment says so."""
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "TRUE")
    with held(shard):
        command = [sys.executable, "-c", READER, str(shard)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "is open for writing in another program" in answer.stdout
    assert shard.exists()


def test_what_another_program_writes_while_it_is_read_is_judged_by_what_it_is_then(shard: Path, tmp_path: Path) -> None:
    """A whole file stays, though the reader met parts of two; a damaged one goes."""
    store, several = Store(shard), [Keys(name, "digest", (f"{name}-0",)) for name in "abc"]
    store.read("a")
    journal = Journal(tmp_path / "journal")
    for keys in several[1:]:
        journal.write(keys, [Row({"features": np.full((300, 2), 2, np.float32)})])
    sources = {keys.name: journal.path(keys) for keys in several[1:]} | {KEYS.name: shard}
    seal(tmp_path / "larger.h5", several[::-1], sources, {"stage": "test"})
    whole = (tmp_path / "larger.h5").read_bytes()
    shard.write_bytes(whole)
    with pytest.raises(DamagedStore, match="was written to by another program while it was read: run again"):
        store.read("a")
    assert shard.read_bytes() == whole
    assert store.read("c").arrays["features"][0, 0] == 2
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedStore, match="set aside as"):
        store.read("b")
    assert not shard.exists()
