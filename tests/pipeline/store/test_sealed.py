"""Sealed files are plain HDF5 for every program, and their tables and checksums tell damage that HDF5 does not see."""

import json
import multiprocessing
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import DamagedStore
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store
from pipeline.store.arrays import StoredArray
from pipeline.store.journal import Journal
from pipeline.store.layout import FORMAT, new_file
from pipeline.store.seal import seal, write_index
from pipeline.store.sealed import load_table, verify
from tests.support.equality import same_rows

IDS = ("plain", "a/b/c", "zwei Wörter/Ω", "映画/一", "tab\tand\nline", "percent%20 'quoted' \"twice\"")
ARRAYS = {
    "features": np.random.default_rng(0).random((3000, 40), np.float32),
    "half": np.random.default_rng(1).random((5, 4, 3)).astype(np.float16),
    "present": np.array([True, False]),
    "empty": np.zeros((0, 7), np.int64),
    "single": np.array(2.5),
    "turned": np.array(7, ">i4"),
    "padded": np.array(b"ab", "S5"),
}
ATTRIBUTES = {"fps": 29.97, "frames": 17, "note": "PQ", "none": ""}
BAD = Keys("gone/away", "digest", ("bad-0",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed")
    journal, videos = Journal(folder / "journal"), [Keys(id_, "digest", (f"{id_}-0",)) for id_ in IDS]
    for keys in videos:
        journal.write(keys, [Row(ARRAYS, dict(ATTRIBUTES))])
    journal.fail(BAD, Failure("kein Bild: Ω", 3))
    videos.append(BAD)
    seal(folder / "000.h5", videos, {keys.name: journal.path(keys) for keys in videos}, {"stage": "test"})
    write_index(folder / "index.h5", [folder / "000.h5"], {"stage": "test"})
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["000.h5", "index.h5"])
def test_h5py_reads_what_the_store_reads(made: Path, name: str) -> None:
    with h5py.File(made / name) as file:
        assert file.attrs["format"] == FORMAT.encode()
        for id_ in IDS:
            group = file[f"videos/{id_}/variant-0"]
            for array, expected in ARRAYS.items():
                np.testing.assert_array_equal(group[array][()], expected)
                assert group[array].dtype == expected.dtype
            assert {key: value for key, value in group.attrs.items() if key in ("fps", "frames")} == {
                "fps": 29.97,
                "frames": 17,
            }
            assert group.attrs["note"] == b"PQ"
        assert file["failures/gone/away/reason"][0].decode() == "kein Bild: Ω"
    expected = Row(ARRAYS, {**ATTRIBUTES, "source_digest": "digest"})
    for id_ in IDS:
        assert same_rows(Store(made / name).rows(id_), [Row(ARRAYS, {**expected.attributes, "key": f"{id_}-0"})])
    assert Store(made / name).ids() == sorted(IDS)
    assert Store(made / name).failures() == {"gone/away": Failure("kein Bild: Ω", 3)}


@pytest.mark.skipif(not shutil.which("h5dump"), reason="the package hdf5-tools is not installed")
@pytest.mark.parametrize("name", ["000.h5", "index.h5"])
def test_hdf5s_own_programs_read_it(made: Path, name: str) -> None:
    listed = subprocess.run(["h5ls", "-r", name], cwd=made, capture_output=True, text=True, check=True).stdout
    if name == "000.h5":
        assert re.search(r"^/videos/plain/variant-0/features Dataset \{3000, 40\}$", listed, re.MULTILINE)
    assert re.search(r"^/table +Dataset \{1\}$", listed, re.MULTILINE)
    wanted = ["h5dump", "-d", "/videos/plain/variant-0/features", "-y", "-w", "0", "-m", "%.9g", name]
    dumped = subprocess.run(wanted, cwd=made, capture_output=True, text=True, check=True).stdout
    numbers = dumped.partition("DATA {")[2].partition("}")[0].replace(",", " ").split()
    np.testing.assert_array_equal(np.array(numbers, np.float32).reshape(3000, 40), ARRAYS["features"])
    filters = subprocess.run(["h5dump", "-p", "-H", name], cwd=made, capture_output=True, text=True, check=True).stdout
    assert filters.count("CHECKSUM FLETCHER32") == 3 * len(IDS) + 2  # the others are empty, or have no axes


def array_of(path: Path, video: str = "plain", name: str = "features") -> StoredArray:
    return load_table(path).item(f"videos/{video}/variant-0").arrays[name]


def altered(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def test_a_hole_of_zeros_that_hdf5_takes_for_data_is_damage(folder: Path) -> None:
    shard = folder / "000.h5"
    array = array_of(shard)
    altered(shard, array.offsets[1], bytes(array.chunk_bytes + 4))
    with h5py.File(shard, locking=False) as file:
        assert (file["videos/plain/variant-0/features"][array.entries : 2 * array.entries] == 0).all()
    with pytest.raises(DamagedStore, match="does not match"):
        Store(folder / "index.h5").read("plain")
    assert not shard.exists()


def test_a_chunk_that_another_took_the_place_of_is_damage(folder: Path) -> None:
    """Each has the checksum that belongs to it."""
    shard = folder / "000.h5"
    array, content = array_of(shard), shard.read_bytes()
    one, other = (content[start : start + array.chunk_bytes + 4] for start in array.offsets[:2])
    altered(shard, array.offsets[0], other)
    altered(shard, array.offsets[1], one)
    with h5py.File(shard, locking=False) as file:
        assert file["videos/plain/variant-0/features"].shape == (3000, 40)
    with pytest.raises(DamagedStore, match="is damaged"):
        verify(shard)


def test_a_window_is_read_beside_damage_that_it_does_not_touch_and_refused_where_it_does(folder: Path) -> None:
    shard = folder / "000.h5"
    array = array_of(shard)
    altered(shard, array.offsets[0] + 77, b"\xff\xff\xff\xff")
    store, start = Store(folder / "index.h5"), array.entries
    window = store.read("plain", arrays=["features"], part=slice(start, start + 16)).arrays["features"]
    np.testing.assert_array_equal(window, ARRAYS["features"][start : start + 16])
    with pytest.raises(DamagedStore, match=r"000\.h5 is damaged .*set aside"):
        store.partial("plain")["features"][start - 1 : start + 1]


@pytest.mark.parametrize("turned", ["places", "keys"])
def test_a_table_that_does_not_say_what_the_file_holds_is_found_by_verification(turned: str, folder: Path) -> None:
    for name in ("000.h5", "index.h5"):
        path = folder / name
        verify(path)
        with h5py.File(path, "r+") as file:
            text = file["table"][0]
            first, _, rest = text.partition(b"\n")
            told = json.loads(first)
            told[turned] = told[turned][::-1]
            told["links"] = {shard: places[1:] for shard, places in told["links"].items()}
            del file["table"]
            text = json.dumps(told).encode() + (b"\n" + rest if rest else b"")
            file.create_dataset("table", data=np.array([text]), chunks=(1,), fletcher32=True)
        with pytest.raises(DamagedStore, match="its table is not that of what it holds"):
            verify(path)


@pytest.mark.parametrize(
    "text", [b"no table", b"{}", b'{"keys":["a"],"links":{},"places":["b"]}', b'{"keys":[],"links":[]}']
)
def test_what_is_no_table_is_damage(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "000.h5"
    with new_file(path) as file:
        file.create_dataset("table", data=np.array([text]), chunks=(1,), fletcher32=True)
    with pytest.raises(DamagedStore, match="its table"):
        Store(path).ids()
    with new_file(path):
        pass
    with pytest.raises(DamagedStore, match="table"):
        Store(path).ids()


def unnoticed(path: Path, places: Sequence[int]) -> list[int]:
    """Those of the places at which verification does not notice a flipped bit."""
    content, found = path.read_bytes(), []
    rng = random.Random(0)
    verify(path)
    for place in places:
        path.write_bytes(content)
        altered(path, place, bytes([content[place] ^ 1 << rng.randrange(8)]))
        try:
            verify(path)
        except DamagedStore:
            continue
        found.append(place)
    return found


@pytest.mark.parametrize("name", ["000.h5", "index.h5"])
@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere_in_a_file_is_noticed(step: int, name: str, tmp_path: Path) -> None:
    """In a process of its own, as HDF5 could go on for ever where it reads a heap without a checksum."""
    journal, keys = Journal(tmp_path / "journal"), Keys("a/b", "digest", ("a-0",))
    journal.write(keys, [Row({"features": ARRAYS["half"], "single": ARRAYS["single"]}, dict(ATTRIBUTES))])
    journal.fail(BAD, Failure("no frame decodes", 3))
    sources = {each.name: journal.path(each) for each in (keys, BAD)}
    seal(tmp_path / "000.h5", [keys, BAD], sources, {"stage": "test"})
    write_index(tmp_path / "index.h5", [tmp_path / "000.h5"], {"stage": "test"})
    places = range(0, (tmp_path / name).stat().st_size, step)
    with multiprocessing.get_context("spawn").Pool(1) as apart:
        assert apart.apply_async(unnoticed, (tmp_path / name, places)).get(timeout=300) == []
