"""Lack of memory and lack of space are told as what they are, whatever library meets them, and never as damage."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from extractors import EXTRACTORS
from extractors.base import Clip
from extractors.weights.state_dicts import load
from pipeline.errors import lack_of_memory, lacks_space
from pipeline.files.atomic import quarantine
from pipeline.files.temporary_array import TemporaryArray
from pipeline.video.encode import write
from tasks.base import user_message
from tests.support.paths import ROOT

STARVED = """
import resource, sys
from importlib import import_module
from pathlib import Path
from tasks.base import user_message
what = sys.argv[2]
if what.endswith(".pth"):
    from extractors.weights.state_dicts import load
    import torch
size_kib = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1])
resource.setrlimit(resource.RLIMIT_AS, (1024 * (size_kib + int(sys.argv[1])), -1))
try:
    load(Path(what)) if what.endswith(".pth") else import_module(what)
except Exception as error:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    print(f"{type(error).__name__}: {user_message(error)}")
"""
LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's size is read from Linux's /proc")


def starved(extra_kib: int, what: str) -> str:
    """What a process says that imports a module, or loads weights, with so much memory besides what it has."""
    answer = subprocess.run(
        [sys.executable, "-c", STARVED, str(extra_kib), what],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_torch_lack_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 48)
    sentence = user_message(caught.value) or ""
    assert sentence.startswith("not enough memory: ")
    assert "you tried to allocate" in sentence
    assert (user_message(torch.OutOfMemoryError("CUDA out of memory. Tried …\nmore")) or "").count("\n") == 0
    assert lack_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried …"))


def test_opencv_lack_of_memory() -> None:
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((1, 1, 3), np.uint8), (2**15 - 1, 2**30))
    assert (user_message(caught.value) or "").startswith("not enough memory: ")


@LINUX
def test_a_library_that_does_not_fit_into_memory() -> None:
    """Numba's library is met by an OSError without a number, and OpenCV's by an ImportError."""
    for module, error, library in (("numba", "OSError", "libllvmlite"), ("cv2", "ImportError", "cv2")):
        said = starved(30_000, module)
        assert said.startswith(f"{error}: not enough memory: ")
        assert library in said
        assert "failed to map" in said


@LINUX
def test_weights_that_do_not_fit_into_memory_are_no_bad_weights(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(25_000_000)}, tmp_path / "large.pth")
    assert load(tmp_path / "large.pth")["a"].shape == (25_000_000,)
    assert "Error: not enough memory: " in starved(60_000, str(tmp_path / "large.pth"))


def test_a_file_is_not_set_aside_for_lack_of_memory(tmp_path: Path) -> None:
    (tmp_path / "whole").touch()
    with pytest.raises(RuntimeError) as lack:
        torch.empty(1 << 48)
    with pytest.raises(RuntimeError):
        quarantine(tmp_path / "whole", lack.value)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_an_error_that_came_from_a_lack_of_memory_is_one() -> None:
    after = ValueError("closing failed, too")
    after.__context__ = MemoryError()
    assert lack_of_memory(after)
    assert not lack_of_memory(ValueError("memory"))
    assert not lack_of_memory(OSError(errno.EIO, "Input/output error"))


def test_a_full_folder_for_temporary_files_is_not_said_to_be_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files is what a quota does, and needs no privileges."""
    rng = np.random.default_rng(0)
    write(tmp_path / "x.mp4", rng.integers(0, 256, (8, 240, 320, 3), np.uint8), 25)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it has been asked for before
    extract = EXTRACTORS["frames"].model_validate({"name": "frames", "encoding": "raw"}).build("cpu")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(OSError, match="File too large") as caught:
            list(extract(Clip(tmp_path / "x.mp4")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert lacks_space(caught.value)
    assert (user_message(caught.value) or "").startswith(f"no space left on {tmp_path / 'temporary'}: free some")


def test_a_temporary_array_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gathered = TemporaryArray()
    expected = np.arange(1000, dtype=np.float32)
    assert [gathered.write(part.data) for part in np.split(expected, 4)] == [1000] * 4
    np.testing.assert_array_equal(gathered.mapped(np.float32), expected)
    assert not list(tmp_path.iterdir())


def test_without_any_folder_for_temporary_files_the_sentence_says_which_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(ValueError, match="set TMPDIR to a writable folder"):
        TemporaryArray()


def test_the_path_that_could_not_be_written_is_told_however_it_is_known() -> None:
    for error, path in (
        (OSError(errno.ENOSPC, "No space left on device", "/a/b.h5"), "/a/b.h5"),
        (
            RuntimeError("Can't write (file write failed: filename = '/a/b.h5', errno = 28, error message = …)"),
            "/a/b.h5",
        ),
    ):
        assert (user_message(error) or "").startswith(f"no space left on {path}: ")
        after = ValueError("closing failed, too")
        after.__context__ = error
        assert (user_message(after) or "").startswith(f"no space left on {path}: ")
