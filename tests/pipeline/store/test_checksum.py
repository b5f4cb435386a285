"""Checksums of chunks are those that HDF5 stores behind them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.store.checksum import fletcher32

SIZES = [*range(1, 40), 359, 360, 361, 717, 718, 719, 720, 721, 722, 1439, 1440, 1441, 65_535, 65_536, 131_071, 131_072]


@pytest.mark.parametrize("kind", ["random", "zeros", "ones", "multiples"])
def test_it_is_what_hdf5_stores_for_every_length(kind: str, tmp_path: Path) -> None:
    """All bits set make every word 65535, which is 0 in the sums' arithmetic, and not in their result."""
    rng = np.random.default_rng(0)
    made = {
        "random": lambda size: rng.integers(0, 256, size, np.uint8),
        "zeros": lambda size: np.zeros(size, np.uint8),
        "ones": lambda size: np.full(size, 255, np.uint8),
        "multiples": lambda size: 255 * rng.integers(0, 2, size, np.uint8),
    }
    arrays = [made[kind](size) for size in SIZES]
    with h5py.File(tmp_path / "file.h5", "w", libver=("v110", "v110")) as file:
        for array in arrays:
            file.create_dataset(str(len(array)), data=array, chunks=array.shape, fletcher32=True)
    with h5py.File(tmp_path / "file.h5") as file:
        for array in arrays:
            stored = file[str(len(array))].id.read_direct_chunk((0,))[1]
            assert stored[:-4] == array.tobytes()
            assert fletcher32(array) == int.from_bytes(stored[-4:], "little"), len(array)


def test_bytes_that_begin_at_an_odd_address_and_those_that_cannot_be_written_to() -> None:
    content = np.random.default_rng(1).integers(0, 256, 1001, np.uint8)
    aligned = content[1:].copy()
    assert fletcher32(content[1:]) == fletcher32(aligned) == fletcher32(np.frombuffer(aligned.tobytes(), np.uint8))
