"""Digests: hashed once, again when size or time changed, and only then."""

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


def test_a_missing_file_is_named(files: list[Path]) -> None:
    known = Digests({}).refreshed(files)
    files[0].unlink()
    assert not known.current(files)
    with pytest.raises(InputError, match=r"a\.avi: No such file"):
        known.refreshed(files)


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"a": 1}', '{"a": [1]}'):
        (tmp_path / "digests.json").write_text(text)
        assert Digests.load(tmp_path / "digests.json") == Digests({})
