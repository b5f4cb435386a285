"""KTH fetched from its publisher, whose place a server on the loopback takes, whole, in part, damaged and killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from data import kth
from data.kth import ACTIONS, KTH
from pipeline.errors import InputError
from tests.support.loopback import Site, serving
from tests.support.paths import ROOT

LIST = "00sequences.txt"
FILES = [f"/{action}.zip" for action in ACTIONS] + [f"/{LIST}"]


KILLS = 4
FEW = tuple(stem for stem in kth.RECORDED if stem < "person04")
"""The videos of three subjects, twelve of each action, which stand for the whole but in one test."""


def content(stem: str) -> bytes:
    """What stands for a video: bytes of its own that do not compress, and some that do."""
    return random.Random(stem).randbytes(3000) + bytes(3000)


def publish(folder: Path) -> Path:
    """A zip archive for each action, and a list in which each video is one segment."""
    folder.mkdir()
    for action in ACTIONS:
        with ZipFile(folder / f"{action}.zip", "w", ZIP_DEFLATED) as archive:
            for stem in kth.RECORDED:
                if stem.split("_")[1] == action:
                    archive.writestr(f"{stem}_uncomp.avi", content(stem))
    lines = [f"{stem}\tframes\t1-90" for stem in kth.RECORDED]
    (folder / LIST).write_text("\n".join([*lines, f"{kth.MISSING}\t*missing*", ""]))
    return folder


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kth, "RECORDED", FEW)
    return publish(tmp_path / "published")


@pytest.fixture
def site(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving(published) as site:
        monkeypatch.setattr(KTH, "publication", KTH.publication._replace(homepage=site.address))
        yield site


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "kth"


def check_whole(root: Path) -> None:
    """All videos are there as they were published, and nothing else."""
    listing = KTH().listing(root)
    assert listing.remarks == ()
    for video in listing.videos:
        assert video.files["video"].read_bytes() == content(video.id)
    assert len(KTH(form="kth2").listing(root).videos) == len(kth.RECORDED)
    assert len(list(root.rglob("*"))) == len(kth.RECORDED) + 1


def test_all_of_it_once(site: Site, root: Path) -> None:
    KTH.fetch(root)
    check_whole(root)
    assert site.asked == FILES
    KTH.fetch(root)
    assert site.asked == FILES


def test_only_what_is_missing_is_fetched_and_what_is_there_stays(site: Site, root: Path) -> None:
    """In whatever layout: walking is whole in a folder of its own, and of boxing one file is missing."""
    KTH.fetch(root)
    (root / "walking").mkdir()
    for file in root.glob("*_walking_*"):
        file.rename(root / "walking" / file.name)
    (root / "person03_boxing_d1_uncomp.avi").unlink()
    mine = root / "person02_boxing_d1_uncomp.avi"
    mine.write_bytes(b"mine")
    site.asked.clear()
    KTH.fetch(root)
    assert site.asked == ["/boxing.zip"]
    assert mine.read_bytes() == b"mine"
    mine.write_bytes(content("person02_boxing_d1"))
    assert (root / "person03_boxing_d1_uncomp.avi").read_bytes() == content("person03_boxing_d1")
    assert len(list(root.glob("*.avi"))) == len(FEW) - 12


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_an_archive_that_is_cut_off_is_refused_and_fetched_anew(
    site: Site, published: Path, root: Path, kept: float
) -> None:
    archive = published / "running.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=r"running\.zip: running\.zip is no whole zip archive .*; .* fetches it anew"):
        KTH.fetch(root)
    assert not list(root.glob("*_running_*"))
    archive.write_bytes(whole)
    site.asked.clear()
    KTH.fetch(root)
    check_whole(root)
    assert site.asked == FILES[4:]


def test_a_damaged_file_in_an_archive_is_not_unpacked(site: Site, published: Path, root: Path) -> None:
    archive = published / "boxing.zip"
    whole = bytearray(archive.read_bytes())
    with ZipFile(archive) as opened:
        entry = opened.infolist()[5]
    whole[entry.header_offset + 1000] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(InputError, match=r"boxing\.zip is no whole zip archive"):
        KTH.fetch(root)
    assert len(list(root.glob("*_boxing_*"))) == 5
    assert not (root / entry.filename).exists()


def test_an_archive_that_climbs_out_of_the_root_is_refused(site: Site, published: Path, root: Path) -> None:
    with ZipFile(published / "boxing.zip", "a") as archive:
        archive.writestr("../person01_boxing_d1_uncomp.avi", b"evil")
    with pytest.raises(
        InputError, match=r"'\.\./person01_boxing_d1_uncomp\.avi' in the archive leads out of the folder"
    ):
        KTH.fetch(root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == [".fetched.lock"]
    assert not (root.parent / "person01_boxing_d1_uncomp.avi").exists()


def test_an_address_that_does_not_answer(site: Site, published: Path, root: Path) -> None:
    (published / "handwaving.zip").unlink()
    with pytest.raises(InputError, match=r"handwaving\.zip"):
        KTH.fetch(root)
    assert len(list(root.glob("*.avi"))) == 24


def test_a_fetch_that_is_killed_at_any_moment_goes_on(tmp_path: Path, root: Path) -> None:
    """Whatever is there is whole at every moment, no archive that arrived is fetched twice, and the end is the same."""
    with serving(publish(tmp_path / "published")) as site:
        site.pause_s = 0.002
        run_and_kill(site, root)
    check_whole(root)


def fetch(site: Site, root: Path, folder: Path) -> subprocess.Popen[str]:
    """Fetch in a process of its own, from a working directory."""
    code = (
        "from data.kth import KTH\n"
        f"KTH.publication = KTH.publication._replace(homepage={site.address!r})\n"
        "from tasks.commands.app import app\n"
        f"app(['datasets', 'kth', '--root', {str(root)!r}, '--fetch'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LUIGI_CONFIG_PATH": str(folder / "luigi.cfg")}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
    )


def run_and_kill(site: Site, root: Path) -> None:
    chance = random.Random(0)
    for _ in range(KILLS):
        process, asked = fetch(site, root, root.parent), len(site.asked)
        while len(site.asked) == asked and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for file in root.glob("person*.avi"):
            assert file.read_bytes() == content(file.name.removesuffix("_uncomp.avi"))
    process = fetch(site, root, root.parent)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "non-commercial use, citing the paper" in said
    assert said.count("complete, 599 examples of 6 classes") == 2
    assert len(site.asked) <= len(FILES) + KILLS


def test_of_two_that_fetch_into_one_folder_one_waits(tmp_path: Path, root: Path) -> None:
    """Wherever they are started: all is asked for once, and nothing else is made, neither there nor here."""
    folders = [tmp_path / name for name in ("here", "elsewhere")]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "link").symlink_to(root)
    with serving(publish(tmp_path / "published")) as site:
        site.pause_s = 0.005
        both = [fetch(site, *each) for each in zip((root, tmp_path / "link"), folders, strict=True)]
        for process in both:
            said, _ = process.communicate(timeout=100)
            assert process.returncode == 0
            assert said.count("complete, 599 examples of 6 classes") == 2
        assert site.asked == FILES
    check_whole(root)
    assert not [path for folder in folders for path in folder.iterdir()]


def test_whole_it_may_be_read_only(site: Site, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KTH.fetch(root)
    monkeypatch.setattr("data.kth.fetching", None)
    KTH.fetch(root)
    check_whole(root)


def test_what_a_fetch_left_that_was_killed_at_its_end_is_removed(site: Site, root: Path) -> None:
    """Between the last file and the removal of what served the fetch."""
    KTH.fetch(root)
    (root / ".fetched").mkdir()
    (root / ".fetched" / "boxing.zip").touch()
    (root / ".fetched.lock").touch()
    site.asked.clear()
    KTH.fetch(root)
    assert site.asked == []
    check_whole(root)
