"""Digests: hashed once, again when size or time changed, and only then."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.errors import InputError, UnusableVideo
from pipeline.files import digests
from pipeline.files.digests import Digests


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
