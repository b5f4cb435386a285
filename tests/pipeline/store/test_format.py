"""The format of stores: its document holds to the code, other versions are read or refused by name."""

import re
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pytest

from extractors import EXTRACTORS
from extractors.skeleton import notes as skeletons
from pipeline.errors import DamagedStore, NewerFormat
from pipeline.files.crash_notes import notes
from pipeline.rows import Failure, Keys, Row
from pipeline.store import Store, provenance
from pipeline.store.fill import fill
from pipeline.store.inspection import contents, format_of
from pipeline.store.journal import Journal, finished
from pipeline.store.layout import FORMAT
from pipeline.store.seal import seal, shards_by_key, write_index
from pipeline.store.sealed import verify
from pipeline.video.notes import NOTES
from tests.support.contracts import MEMBERS
from tests.support.paths import GOLDEN
from tests.support.store_format import DOCUMENT, newer_store, restate, table

FEW = ("idt", "frames", "person_boxes", "skeleton", "tvl1")
"""Extractors that have every attribute between them."""


def first_cells(header: str) -> set[str]:
    return {row[0] for row in table(header)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shard and an index of rows of some extractors, and of one failure."""
    folder = tmp_path_factory.mktemp("store")
    journal, videos = Journal(folder / "journal"), []
    for name in FEW:
        member = MEMBERS[name](tmp_path_factory.mktemp(name))
        rows = member.rows()
        videos.append(Keys(name, f"digest-of-{name}", tuple(f"{name}-{variant}" for variant in range(len(rows)))))
        journal.write(videos[-1], rows)
    videos.append(Keys("bad", "digest", ("bad-0",)))
    journal.fail(videos[-1], Failure("no frame decodes", 3))
    shard = folder / "000-of-001-0123456789ab.h5"
    seal(shard, videos, {keys.name: journal.path(keys) for keys in videos}, {"stage": "test"})
    write_index(folder / "index.h5", [shard], {"stage": "test"})
    return folder


def files(store: Path) -> dict[str, list[Path]]:
    """By the word that the document has for them."""
    return {
        "shard": sorted(store.glob("000-*.h5")),
        "index": [store / "index.h5"],
    }


def test_roots_have_the_attributes_that_the_document_names(store: Path) -> None:
    for kind, paths in files(store).items():
        for path in paths:
            with h5py.File(path, locking=False) as file:
                named = {name for name, places, *_ in table("attribute of the root") if kind in places.split(", ")}
                assert set(file.attrs) == named, path
                assert file.attrs["format"] == FORMAT.encode()
                assert set(file) <= {"videos", "failures", "table"}
    assert FORMAT in DOCUMENT.read_text(encoding="utf-8")


def test_rows_and_reasons_have_the_attributes_that_the_document_names(store: Path) -> None:
    found: dict[str, set[str]] = {"row": set(), "reason": set()}
    for path in files(store)["shard"]:
        for kind, item in held(path):
            found[kind] |= set(item)
    assert found["row"] == first_cells("attribute of a row")
    assert found["reason"] == first_cells("attribute of a reason")


def test_notes_are_those_that_the_document_names() -> None:
    assert first_cells("note") == set(NOTES)
    assert first_cells("note of a skeleton") == {*skeletons.NOTES, "body"}


def held(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Attributes of every row and reason of a file, whose arrays are as the document says of all."""
    found: list[tuple[str, dict[str, object]]] = []

    def note(place: str, item: h5py.Group | h5py.Dataset) -> None:
        if re.fullmatch(r"videos/.+/variant-\d+", place):
            found.append(("row", dict(item.attrs)))
        elif re.fullmatch(r"failures/.+/reason", place):
            found.append(("reason", dict(item.attrs)))
        if isinstance(item, h5py.Dataset):
            assert item.fletcher32
            assert item.compression is None
            entry = item.nbytes // len(item)
            assert item.chunks[1:] == item.shape[1:]
            assert item.chunks[0] * entry <= max(2**17, entry) or place == "table"

    with h5py.File(path, locking=False) as file:
        file.visititems(note)
    yield from found


def test_arrays_are_those_that_the_document_names(store: Path) -> None:
    """The golden rows of every extractor, whose names and types the contract of extractors holds to the code."""
    documented = {
        (extractor, array): (types.split(" or "), axes) for extractor, array, types, axes in table("extractor | array")
    }
    arrays: dict[tuple[str, str], list[np.ndarray]] = {}
    for name, extractor in EXTRACTORS.items():
        for path in GOLDEN.glob(f"{name}*-v{extractor.version}.npz"):
            owner = max((known for known in EXTRACTORS if path.name.startswith(known)), key=len)
            with np.load(path) as golden:
                for place in golden.files if owner == name else ():
                    array = re.sub(r"^features-.+", "features-<fold>", place.partition("/")[2])
                    arrays.setdefault((name, array), []).append(golden[place])
    for name in FEW:
        for row in Store(store / "index.h5").rows(name):
            for array, values in row.arrays.items():
                arrays.setdefault((name, array), []).append(values)
    encoded = {("tvl1", "x_offsets"), ("tvl1", "y_offsets")}  # the golden flow is raw
    assert arrays.keys() == documented.keys() - encoded
    for place, several in arrays.items():
        types, axes = documented[place]
        for values in several:
            assert values.dtype.name in types, place
            assert values.ndim in {len(form.partition("raw: ")[2].split(", ") if "raw:" in form else form.split(", "))
                                   for form in axes.split("; ") if "absent" not in form}, place  # fmt: skip


def test_encoded_pictures_and_flow_are_read_as_the_document_says(tmp_path: Path) -> None:
    import cv2

    from extractors.frames import Frames
    from extractors.tvl1.config import TVL1

    member = MEMBERS["tvl1"](tmp_path)
    fields = {"size_px": (80, 60), "stride_frames": 6, "bound_px": 4}
    (raw,) = member.rows()
    (encoded,) = TVL1(**fields, encoding="png").build("cpu", {})(member.source)
    assert encoded.arrays.keys() == {"x", "x_offsets", "y", "y_offsets", "start_frames", "times", "ends"}
    for name in "xy":
        whole, offsets = encoded.arrays[name], encoded.arrays[f"{name}_offsets"]
        assert (offsets.dtype, offsets[0], offsets[-1]) == (np.int64, 0, len(whole))
        for picture, expected in enumerate(raw.arrays[name]):
            part = np.asarray(whole[offsets[picture] : offsets[picture + 1]])
            np.testing.assert_array_equal(cv2.imdecode(part, cv2.IMREAD_UNCHANGED), expected)
    still = raw.arrays["x"] * (2 * 4 / 255) - 4
    assert abs(np.median(still)) < 0.1
    (frames,) = Frames(short_side=24, encoding="raw").build("cpu", {})(member.source)
    assert frames.arrays["frames"].shape[1:3] == (24, 32)


@pytest.mark.parametrize("name", ["store-unversioned", "store-1"])
def test_a_store_of_format_1_is_read(name: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / name)
    shard, index = tmp_path / name / "000-of-001-0123456789ab.h5", tmp_path / name / "index.h5"
    for path in (shard, index):
        verify(path)
        assert format_of(path) == "kinescope-store/1"
        assert provenance(path)["fingerprint"] == "0123456789ab"
        store = Store(path)
        assert store.ids() == ["a/b"]
        assert store.failures() == {"c": Failure("no frame decodes", 2)}
        for variant, row in enumerate(store.rows("a/b")):
            expected = np.arange(12, dtype=np.float32).reshape(3, 4) + variant
            np.testing.assert_array_equal(row.arrays["features"], expected, strict=True)
            np.testing.assert_array_equal(row.arrays["start_frames"], np.arange(3), strict=True)
            assert row.attributes["fps"] == 25.0
    assert shards_by_key([shard]) == {"a-0": shard, "a-1": shard, "c-0": shard}


def former_journal(folder: Path) -> Path:
    """A copy of a journal as the version before wrote it, a file a video, with the note of one that crashed."""
    return Path(shutil.copytree(GOLDEN / "store-1" / "journal-000-of-001", folder / "stage-0123456789ab" / "journal"))


ROWS, FAILED, CRASHED = (f"{name:0>32}" for name in ("a", "c", "d"))
"""Keys of the videos in it."""


def test_a_journal_of_format_1_is_taken_over(tmp_path: Path) -> None:
    folder, shard = former_journal(tmp_path), tmp_path / "stage-0123456789ab" / "000.h5"
    rows, bad, fresh = Keys("a/b", "digest", (ROWS, f"{ROWS[:-1]}b")), Keys("c", "digest", (FAILED,)), keys_of("d")
    assert {(each.key, each.failed) for each in finished(folder)} == {(ROWS, False), (FAILED, True)}
    assert notes(folder) == {"d": 1}
    computed = []

    def compute(video: str) -> list[Row]:
        computed.append(video)
        return [Row({"features": np.zeros((2, 4), np.float32)})]

    fill(
        *(shard, [rows, bad, fresh], nullcontext, lambda: compute),
        **{"journal": Journal(folder), "earlier": {}, "provenance": dict},
    )
    assert computed == ["d"]
    store = Store(shard)
    assert store.failures() == {"c": Failure("no frame decodes", 2)}
    for variant, row in enumerate(store.rows("a/b")):
        expected = np.arange(12, dtype=np.float32).reshape(3, 4) + variant
        np.testing.assert_array_equal(row.arrays["features"], expected, strict=True)
        assert row.attributes == {
            **{"fps": 25.0, "frames": 3, "key": rows.variants[variant], "source_digest": "digest"}
        }
    assert not folder.exists()


def keys_of(video: str) -> Keys:
    return Keys(video, "digest", (f"{video:0>32}",))


def test_files_of_a_former_journal_that_were_swapped_are_computed_again(tmp_path: Path) -> None:
    folder, shard = former_journal(tmp_path), tmp_path / "stage-0123456789ab" / "000.h5"
    one, other = (folder / f"{name}.h5" for name in (ROWS, FAILED))
    content = one.read_bytes()
    shutil.copy(other, one)
    other.write_bytes(content)
    videos = [Keys("a/b", "digest", (ROWS,)), Keys("c", "digest", (FAILED,))]

    def again() -> None:
        fill(
            *(shard, videos, nullcontext, lambda: lambda video: [Row({"features": np.ones((len(video), 2))})]),
            **{"journal": Journal(folder), "earlier": {}, "provenance": dict},
        )

    for path in (one, other):
        with pytest.raises(DamagedStore, match=f"{path.name} is damaged .it holds nothing of the key"):
            again()
    again()
    for video in videos:
        assert Store(shard).read(video.id).arrays["features"].shape == (len(video.id), 2)


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    return newer_store(tmp_path)


def test_a_newer_format_is_refused_by_name_and_stays(newer: Path, tmp_path: Path) -> None:
    said = r"0123456789ab\.h5 has the format kinescope-store/3, and kinescope-store/2 is read here: a newer kinescope"
    index, keys = Store(newer.with_name("index.h5")), Keys("a", "digest", ("a-0",))
    for read in (
        lambda: index.read("a"),
        lambda: Store(newer).read("a"),
        lambda: Store(newer).ids(),
        lambda: provenance(newer),
        lambda: verify(newer),
        lambda: contents([newer]),
        lambda: shards_by_key([newer]),
        lambda: seal(tmp_path / "next.h5", [keys], {"a-0": newer}, {}),
    ):
        with pytest.raises(NewerFormat, match=said):
            read()
    assert not list(tmp_path.glob("*.damaged-*"))
    restate(newer, b"kinescope-store/2")
    assert index.ids() == ["a"]
    verify(newer)


def test_a_newer_index_stays_as_well(newer: Path) -> None:
    restate(newer, b"kinescope-store/2")
    index = newer.with_name("index.h5")
    restate(index, b"kinescope-store/12")
    with pytest.raises(NewerFormat, match=r"index\.h5 has the format kinescope-store/12"):
        Store(index).read("a")
    assert index.exists()
