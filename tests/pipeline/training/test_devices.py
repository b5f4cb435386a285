"""Which device is chosen on machines that have a GPU, have none, or do not show that they have one."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.errors import InputError
from pipeline.training import devices


@pytest.fixture(autouse=True)
def signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where this machine would show a GPU: nowhere yet."""
    places = [tmp_path / place.lstrip("/") for place in devices.SIGNS]
    monkeypatch.setattr(devices, "SIGNS", tuple(map(str, places)))
    devices._warn_of_unused_gpu.cache_clear()
    return places


@pytest.mark.parametrize("number", range(len(devices.SIGNS)))
def test_any_sign_of_a_gpu_will_do(number: int, signs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not devices.wants_gpu("auto")
    signs[number].parent.mkdir(parents=True)
    signs[number].touch()
    assert devices.wants_gpu("auto")
    assert devices.choose("auto") == "cuda"
    assert not devices.wants_gpu("cpu")
    assert devices.choose("cpu") == "cpu"


def test_a_driver_without_a_torch_that_uses_it(signs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    signs[0].mkdir(parents=True)
    assert devices.choose("auto") == "cpu"
    with pytest.raises(InputError, match="device = cuda:1, but torch sees no CUDA device"):
        devices.choose("cuda:1")


def test_a_gpu_that_nothing_shows_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with caplog.at_level(logging.WARNING, "luigi-interface"):
        assert {devices.choose("auto") for _ in range(3)} == {"cpu"}
        (said,) = caplog.messages
        assert "device = cuda would use the GPU" in said
        assert devices.choose("cpu") == "cpu"
        assert devices.choose("cuda") == "cuda"
        assert devices.wants_gpu("cuda")
    assert len(caplog.messages) == 1


def test_torch_is_not_loaded_to_look() -> None:
    script = "import sys; from pipeline.training import devices; devices.SIGNS = (); devices.choose('auto')"
    subprocess.run([sys.executable, "-c", f"{script}; assert 'torch' not in sys.modules"], check=True)
