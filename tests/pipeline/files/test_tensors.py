"""Files of tensors: the same bytes each time, and damage that is noticed wherever it is."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from pipeline.errors import DamagedStore
from pipeline.files import tensors

STATE = {f"layer{number}.weight": np.arange(6, dtype=np.float32).reshape(2, 3) + number for number in range(5)}
METADATA = {"curves": '{"loss": [0.5]}', "provenance": json.dumps({"fingerprint": "0" * 12, "file": "network"})}


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]  # safetensors' own order differs once in two
    for file in files:
        tensors.write(file, partial(save, STATE), METADATA)
    assert len({file.read_bytes() for file in files}) == 1
    content, metadata = tensors.read(files[0])
    assert {name: array.tolist() for name, array in load(content).items()} == {
        name: array.tolist() for name, array in STATE.items()
    }
    assert metadata.items() > METADATA.items()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(place: float, flip: int, tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    tensors.write(file, partial(save, STATE), METADATA)
    damaged = bytearray(file.read_bytes())
    damaged[int(place * len(damaged))] ^= flip
    file.write_bytes(damaged)
    try:
        content, metadata = tensors.read(file)
    except DamagedStore:
        return
    assert all(np.array_equal(array, STATE[name]) for name, array in load(content).items())
    assert metadata.items() > METADATA.items()


def test_a_digest_under_another_key_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    tensors.write(file, partial(save, STATE), METADATA)
    file.write_bytes(file.read_bytes().replace(b'"blake2b"', b'"blake2c"'))
    with pytest.raises(DamagedStore, match="digest"):
        tensors.read(file)
