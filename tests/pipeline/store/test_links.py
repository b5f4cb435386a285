"""Links of an index lead to the shards beside it; any other is the index's own damage, and is not followed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import DamagedStore, InputError
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store, inspection
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from pipeline.store.sealed import verify
from pipeline.store.table import compact
from tests.support.store_format import restate

ROW, REASON = "videos/a/b/variant-0", "failures/c/reason"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of a store whose shard holds a row and a failure; a whole shard of the same places lies outside."""
    folder, journal = tmp_path / "inside", Journal(tmp_path / "journal")
    row, failed = Keys("a/b", "digest", ("a-0",)), Keys("c", "digest", ("c-0",))
    journal.write(row, [Row({"features": np.ones((3, 2), np.float32)})])
    journal.fail(failed, Failure("no frame decodes", 2))
    seal(folder / "000.h5", [row, failed], {keys.name: journal.path(keys) for keys in (row, failed)}, {})
    write_index(folder / "index.h5", [folder / "000.h5"], {})
    for path in folder.iterdir():
        restate(path, b"kinescope-store/1")  # the links alone say then where a row lies
    (tmp_path / "outside").mkdir()
    shutil.copy(folder / "000.h5", tmp_path / "outside" / "000.h5")
    return folder / "index.h5"


def relinked(index: Path, place: str, link: h5py.ExternalLink | h5py.SoftLink) -> None:
    with h5py.File(index, "r+") as file:
        del file[place]
        file[place] = link


STRAY = {
    "outside": h5py.ExternalLink("../outside/000.h5", ROW),
    "outside, missing": h5py.ExternalLink("../outside/001.h5", ROW),
    "absolute": h5py.ExternalLink("/nowhere/000.h5", ROW),
    "the folder above": h5py.ExternalLink("..", ROW),
    "this folder": h5py.ExternalLink(".", ROW),
    "another place": h5py.ExternalLink("000.h5", REASON),
    "soft": h5py.SoftLink(f"/{REASON}"),
}
READS: dict[str, Callable[[Path], object]] = {
    "read": lambda index: Store(index).read("a/b"),
    "partial": lambda index: Store(index).partial("a/b"),
    "ids": lambda index: Store(index).ids(),
    "verify": verify,
}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.h5*")}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("link", STRAY)
def test_a_stray_link_condemns_the_index_and_nothing_else(index: Path, link: str, read: str, tmp_path: Path) -> None:
    relinked(index, ROW, STRAY[link])
    before = everything(tmp_path)
    with pytest.raises(DamagedStore, match=rf"index\.h5 is damaged \(it links {ROW} to .+set aside as index\.h5\.dam"):
        READS[read](index)
    before["inside/index.h5.damaged-1"] = before.pop("inside/index.h5")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("link", STRAY)
def test_a_stray_link_to_a_failure_condemns_the_index_as_well(index: Path, link: str) -> None:
    stray = STRAY[link]
    if isinstance(stray, h5py.ExternalLink):
        stray = h5py.ExternalLink(stray.filename, REASON if stray.path == ROW else ROW)
    relinked(index, REASON, h5py.SoftLink(f"/{ROW}") if link == "soft" else stray)
    with pytest.raises(DamagedStore, match=rf"index\.h5 is damaged \(it links {REASON} to "):
        Store(index).failures()


@pytest.mark.parametrize("place", ["videos", "videos/a", "videos/a/b"])
def test_a_group_that_is_a_link_is_not_followed(index: Path, place: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "000.h5"
    outside.write_bytes(b"")  # whoever opened it would fail otherwise
    for name in ("../outside/000.h5", "000.h5"):
        for read in (*READS.values(), lambda index: Store(index).variants("a/b")):
            shutil.copy(index, tmp_path / "kept")
            relinked(index, place, h5py.ExternalLink(name, place))
            with pytest.raises(DamagedStore, match=rf"index\.h5 is damaged \(it links {place} to /?{place} in {name}"):
                read(index)
            (tmp_path / "kept").rename(index)
    assert outside.exists()


@pytest.mark.parametrize("link", STRAY)
def test_inspection_refuses_a_stray_link_and_renames_nothing(index: Path, link: str, tmp_path: Path) -> None:
    relinked(index, ROW, STRAY[link])
    before = everything(tmp_path)
    for inspect in (inspection.linked, inspection.check):
        with pytest.raises(InputError, match=rf"index\.h5 is damaged \(it links {ROW} to .+ kinescope verify sets it"):
            inspect(index)
    assert everything(tmp_path) == before


def test_a_shard_that_links_a_row_elsewhere_is_not_followed(index: Path, tmp_path: Path) -> None:
    shard = index.with_name("000.h5")
    relinked(shard, ROW, h5py.ExternalLink("../outside/000.h5", ROW))
    for read in (lambda: verify(shard), lambda: Store(index).read("a/b"), lambda: Store(shard).read("a/b")):
        content = shard.read_bytes()
        with pytest.raises(DamagedStore, match=r"000\.h5 is damaged \(it links"):
            read()
        assert not shard.exists()
        assert index.exists()
        shard.write_bytes(content)
    assert (tmp_path / "outside" / "000.h5").exists()


@pytest.mark.parametrize("link", STRAY)
def test_where_there_is_a_table_links_are_for_other_programs_and_verification_compares_them(
    index: Path, link: str, tmp_path: Path
) -> None:
    restate(index, b"kinescope-store/2")
    verify(index)
    relinked(index, ROW, STRAY[link])
    assert Store(index).read("a/b").arrays["features"].shape == (3, 2)
    with pytest.raises(DamagedStore, match=rf"index\.h5 is damaged \(it links {ROW} to "):
        verify(index)
    assert not index.exists()


@pytest.mark.parametrize("name", ["../outside/000.h5", "/nowhere/000.h5", "..", ""])
def test_a_table_that_links_elsewhere_condemns_the_index_and_nothing_else(index: Path, name: str) -> None:
    restate(index, b"kinescope-store/2")
    with h5py.File(index, "r+") as file:
        del file["table"]
        text = compact({"keys": [], "links": {name: [ROW]}, "places": []}).encode()
        file.create_dataset("table", data=np.array([text]), chunks=(1,), fletcher32=True)
    with pytest.raises(DamagedStore, match=r"index\.h5 is damaged \(its table links .*not beside it"):
        Store(index).read("a/b")
    assert index.with_name("000.h5").exists()
