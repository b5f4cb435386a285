"""Digests: hashed once, again when size or time changed, and only then."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, UnusableVideo
from pipeline.files import digests
from pipeline.files.digests import Digests
from tests.support.toy_datasets import touch


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.avi" for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    return paths


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        digests.hashlib, "file_digest", lambda file, kind: (seen.append(Path(file.name).name), digest(file, kind))[1]
    )
    return seen


def test_only_what_changed_is_hashed(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = hashed(monkeypatch)
    known = Digests({}).refreshed(files)
    assert seen == ["a.avi", "b.avi", "c.avi"]
    assert known[files[0]] == hashlib.sha256(b"a.avi").hexdigest()
    known.save(tmp_path / "digests.json")
    known = Digests.load(tmp_path / "digests.json")
    assert known.current(files)
    files[1].write_text("other")
    os.utime(files[1], ns=(1, 1))
    assert not known.current(files)
    seen.clear()
    fresh = known.refreshed(files)
    assert seen == ["b.avi"]
    assert fresh[files[0]] == known[files[0]]
    assert fresh[files[1]] != known[files[1]]
    seen.clear()
    assert fresh.refreshed(files, rehash=True) == fresh
    assert len(seen) == 3


def test_a_touched_file_keeps_its_digest(files: list[Path]) -> None:
    known = Digests({}).refreshed(files)
    os.utime(files[0], ns=(5, 5))
    assert not known.current(files)
    assert known.refreshed(files)[files[0]] == known[files[0]]


def test_a_change_during_a_run_is_named(files: list[Path]) -> None:
    known, changed = Digests({}).refreshed(files), r"a\.avi has changed since it was indexed"
    with known.unchanged(files[0]):
        pass
    with pytest.raises(InputError, match=changed), known.unchanged(files[0]):
        files[0].write_text("changed")
    with pytest.raises(InputError, match=changed), known.unchanged(files[0]):
        pass


def test_what_fails_on_a_file_that_changes_meanwhile_is_the_changes_fault(files: list[Path]) -> None:
    def cut_off() -> None:
        files[0].write_text("changed")
        raise UnusableVideo("cut off")

    known = Digests({}).refreshed(files)
    with pytest.raises(InputError, match="has changed since it was indexed"), known.unchanged(files[0]):
        cut_off()


def test_a_file_that_cannot_be_read_costs_itself(files: list[Path], tmp_path: Path) -> None:
    files[0].unlink()
    files[0].symlink_to("nowhere")
    files[1].unlink()
    files[1].symlink_to(files[1].name)
    known = Digests({}).refreshed(files)
    known.save(tmp_path / "digests.json")
    known = Digests.load(tmp_path / "digests.json")
    assert known.current(files)
    assert len({known[file] for file in files}) == 3
    with pytest.raises(UnusableVideo, match=r"a\.avi, a link to nowhere: No such file"), known.unchanged(files[0]):
        pass
    with pytest.raises(UnusableVideo, match="Too many levels of symbolic links"), known.unchanged(files[1]):
        pass
    files[0].unlink()
    files[0].write_text("here it is")
    assert not known.current(files)
    with pytest.raises(InputError, match="has changed since it was indexed"), known.unchanged(files[0]):
        pass
    assert known.refreshed(files)[files[0]] == hashlib.sha256(b"here it is").hexdigest()


def test_a_file_that_may_not_be_read_any_more_is_not_current(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Digests({}).refreshed(files)
    monkeypatch.setattr(digests.os, "access", lambda file, mode: Path(file) != files[0])  # root may read everything
    assert not known.current(files)


def test_where_no_file_can_be_read_or_the_disk_fails_the_run_ends(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(file: object, kind: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(digests.hashlib, "file_digest", fails)
        with pytest.raises(InputError, match=r"a\.avi: Input/output error; a readable file is needed"):
            Digests({}).refreshed(files)
    for file in files:
        file.unlink()
    with pytest.raises(InputError, match=r"a\.avi: No such file"):
        Digests({}).refreshed(files)


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"a": 1}', '{"a": [1]}'):
        (tmp_path / "digests.json").write_text(text)
        assert Digests.load(tmp_path / "digests.json") == Digests({})


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        touch(path, "notes.txt", "flow_x_1.jpg", "flow_y_1.jpg")
        for number in (1, 2, 3):
            (path / f"img_{number}.jpg").write_text(f"{path.name} {number}")
    return paths


def test_the_content_of_a_folder_of_pictures_is_that_of_its_frames_in_order(folders: list[Path]) -> None:
    known = Digests({}).refreshed(folders)
    alone = [hashlib.sha256(f"one {number}".encode()).digest() for number in (1, 2, 3)]
    assert known[folders[0]] == hashlib.sha256(b"".join(alone)).hexdigest()
    assert known[folders[0]] != known[folders[1]]
    for number in (3, 2, 1):  # other names and another first number are the same content
        (folders[0] / f"img_{number}.jpg").rename(folders[0] / f"frame_{number + 6:05d}.jpg")
    assert not known.current(folders)
    assert known.refreshed(folders)[folders[0]] == known[folders[0]]


def _edit(folder: Path) -> None:
    (folder / "img_2.jpg").write_text("one two")  # of another size


def _edit_in_place(folder: Path) -> None:
    (folder / "img_2.jpg").write_text("one 9")
    os.utime(folder / "img_2.jpg", ns=(5, 5))


def _add(folder: Path) -> None:
    (folder / "img_4.jpg").write_text("one 4")


def _remove(folder: Path) -> None:
    (folder / "img_3.jpg").unlink()


def _swap(folder: Path) -> None:
    (folder / "img_1.jpg").rename(folder / "img_0.jpg")
    (folder / "img_3.jpg").rename(folder / "img_1.jpg")
    (folder / "img_0.jpg").rename(folder / "img_3.jpg")


@pytest.mark.parametrize("change", [_edit, _edit_in_place, _add, _remove, _swap])
def test_a_picture_that_is_changed_added_removed_or_moved_changes_the_clip(
    change: Callable[[Path], None], folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Digests({}).refreshed(folders)
    known.save(tmp_path / "digests.json")
    known = Digests.load(tmp_path / "digests.json")
    assert known.current(folders)
    with pytest.raises(InputError, match="one has changed since it was indexed"), known.unchanged(folders[0]):
        change(folders[0])
    assert not known.current(folders)
    seen = hashed(monkeypatch)
    fresh = known.refreshed(folders)
    assert set(seen) <= {path.name for path in folders[0].iterdir()}
    assert fresh[folders[0]] != known[folders[0]]
    assert fresh[folders[1]] == known[folders[1]]
    assert all(path.parent == folders[0] for path in folders[0].iterdir())


def test_a_check_lists_a_folder_once_and_opens_no_picture(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made of every clip several times in a run, and clips have hundreds of pictures."""
    known, calls = Digests({}).refreshed(folders), list[tuple[str, str]]()

    def noted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)
        return lambda path, *args, **more: (calls.append((name, os.path.basename(path))), real(path, *args, **more))[1]

    with monkeypatch.context() as patch:
        for name in ("stat", "access", "listdir", "scandir", "open"):
            patch.setattr(os, name, noted(name))
        assert known.current(folders)
    assert [name for call, name in calls if call == "scandir"] == ["one", "two"]
    assert not [name for call, name in calls if name.endswith(".jpg") or call == "listdir"]


def test_a_picture_that_may_not_be_read_any_more_is_not_current(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Digests({}).refreshed(folders)
    (folders[0] / "img_2.jpg").chmod(0o200)
    monkeypatch.setattr(digests.os, "access", lambda file, mode: not os.fspath(file).endswith("one/img_2.jpg"))
    assert not known.current(folders)  # root may read everything
    assert known.current(folders[1:])


def test_what_lies_beside_the_frames_is_no_change(folders: list[Path]) -> None:
    known = Digests({}).refreshed(folders)
    touch(folders[0], "flow_x_2.jpg", ".DS_Store", "x/1.jpg")
    (folders[0] / "notes.txt").write_text("other")
    assert known.current(folders)


def test_a_folder_with_a_fault_costs_itself_and_is_noticed_when_it_is_mended(folders: list[Path]) -> None:
    (folders[0] / "img_2.jpg").rename(folders[0] / "kept")
    known = Digests({}).refreshed(folders)
    assert known.current(folders)
    with pytest.raises(UnusableVideo, match=r"one: one/img_3\.jpg follows one/img_1\.jpg"), known.unchanged(folders[0]):
        pass
    (folders[0] / "kept").rename(folders[0] / "img_2.jpg")
    assert not known.current(folders)
    (folders[0] / "img_2.jpg").unlink()
    (folders[0] / "img_2.jpg").symlink_to("nowhere")
    fresh = known.refreshed(folders)
    assert fresh[folders[0]] != known[folders[0]]
    with pytest.raises(UnusableVideo, match=r"img_2.jpg, a link to nowhere: No such file"), fresh.unchanged(folders[0]):
        pass
