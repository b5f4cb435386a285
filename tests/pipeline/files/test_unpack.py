"""Zip archives of others: what leads out of the folder, is cut off or damaged is refused."""

import stat
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from pipeline.errors import InputError
from pipeline.files.unpack import unpack


def archive(folder: Path, *entries: str | ZipInfo) -> Path:
    with ZipFile(folder / "some.zip", "w") as written:
        for entry in entries:
            written.writestr(entry, b"content of a file")
    return folder / "some.zip"


def everything(_: str) -> bool:
    return True


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_files_that_are_wanted_at_their_paths(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.avi", "below/b.avi", "below/", "notes.txt")
    unpack(path, tmp_path / "out", lambda name: name.endswith(".avi"))
    assert files(tmp_path / "out") == ["a.avi", "below/b.avi"]
    assert (tmp_path / "out/below/b.avi").read_bytes() == b"content of a file"


@pytest.mark.parametrize("name", ["../a", "/a", "below/../../a", "..", "C:/a", "below\\..\\..\\a", "."])
def test_what_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path, "a.avi", name)
    with pytest.raises(InputError, match="leads out of the folder; nothing of it is unpacked"):
        unpack(path, tmp_path / "out", lambda name: name == "a.avi")
    assert files(tmp_path) == ["some.zip"]


def test_a_link(tmp_path: Path) -> None:
    link = ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(InputError, match="'link' in the archive is a link"):
        unpack(archive(tmp_path, "a.avi", link), tmp_path / "out", everything)
    assert files(tmp_path) == ["some.zip"]


def test_an_encrypted_file(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.avi")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + 8] |= 1  # the flags of the central directory's entry
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"'a\.avi' in the archive is encrypted"):
        unpack(path, tmp_path / "out", everything)


def test_no_archive_that_is_cut_off_anywhere_is_taken_for_whole(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.avi", "b.avi")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is no whole zip archive"):
            unpack(path, tmp_path / "out", everything)
    assert files(tmp_path) == ["some.zip"]


def test_no_damaged_byte_of_a_file_is_taken_for_right(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.avi")
    whole = path.read_bytes()
    start = whole.index(b"content")
    for place in range(start, start + 17):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match="is no whole zip archive"):
            unpack(path, tmp_path / "out", everything)
    assert files(tmp_path) == ["some.zip"]


def test_no_damaged_byte_anywhere_ends_in_another_content(tmp_path: Path) -> None:
    """A damaged archive is refused, or the damage lies where it says nothing of the files."""
    path = archive(tmp_path, "below/a.avi")
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        for mask in (0x01, 0x80):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            try:
                unpack(path, tmp_path / "out", everything)
            except InputError:
                refused += 1
            for file in files(tmp_path / "out"):
                assert (tmp_path / "out" / file).read_bytes() == b"content of a file"
    assert refused > len(whole)
    assert all(file.startswith(("out/", "some.zip")) for file in files(tmp_path))
