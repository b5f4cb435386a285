"""KTH: its list and layouts, and the real videos."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from data.base import Fold, Video
from data.kth import ACTIONS, KTH, MISSING, RECORDED, SEGMENTS_LIST, read_segments
from data.stick_figures.dataset import StickFigures
from data.stick_figures.motion import ACTIONS as DRAWN_ACTIONS
from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import decode, read
from tests.support.mutations import SKELETON as TEXT
from tests.support.mutations import mutated
from tests.support.toy_datasets import write_segments

OFFICIAL_PREFACE = """\
All sequences were divided with the
following subdivision of sequences with respect to the subject:

Training:   person11, 12, 13, 14, 15, 16, 17, 18
Validation: person19, 20, 21, 23, 24, 25, 01, 04
Test:       person22, 02, 03, 05, 06, 07, 08, 09, 10

The sequences
"""


FIRST = "person01_boxing_d1\t\tframes\t1-95, 96-185, 186-245, 246-360"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Empty files of all names, in the root itself."""
    folder = tmp_path / "root"
    folder.mkdir()
    for stem in RECORDED:
        (folder / f"{stem}_uncomp.avi").touch()
    return folder


def full_list(root: Path) -> Path:
    """Two segments a video, in all sorts of white space, after the preface of the published list."""
    gaps = (" ", "  ", "\t", " \t\t")
    entries = [
        f"{stem}{gaps[n % 4]}frames\t1-{20 + n % 7},{' ' * (n % 3)}30-40{' ' * (n % 2)}"
        for n, stem in enumerate(RECORDED)
    ]
    return write_segments(root, *OFFICIAL_PREFACE.splitlines(), *entries, f"{MISSING}\t*missing*", newline="\r\n")


class TestFiles:
    def test_all_videos(self, root: Path):
        listing = KTH().listing(root)
        assert len(listing.videos) == len(RECORDED) == 599
        assert listing.classes == ACTIONS == DRAWN_ACTIONS
        assert len({video.subject for video in listing.videos}) == 25
        assert KTH().notes(listing) == ()
        first = Video(
            "person01_boxing_d1", {"video": root.resolve() / "person01_boxing_d1_uncomp.avi"}, (0,), "person01"
        )
        assert listing.videos[0] == first
        assert MISSING not in {video.id for video in listing.videos}
        assert all(ACTIONS[video.labels[0]] == video.id.split("_")[1] for video in listing.videos)

    @pytest.mark.parametrize("form", ["kth1", "kth2"])
    @pytest.mark.parametrize(
        "name", ["{action}/{stem}_uncomp.avi", "{Action}/{stem}.AVI", "{stem}.mp4", "{stem}_uncomp.mkv"]
    )
    def test_every_layout_has_the_same_ids_and_folds(self, root: Path, tmp_path: Path, form: str, name: str):
        other = tmp_path / "other"
        for stem in RECORDED:
            action = stem.split("_")[1]
            path = other / name.format(action=action, Action=action.title(), stem=stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (other / f"{MISSING}.txt").touch()
        config = KTH.model_validate({"form": form})
        listings = []
        for folder in (root, other):
            full_list(folder)
            listings.append(config.listing(folder))
        one, two = listings
        strip = [[(v.id, v.labels, v.subject, v.frames) for v in listing.videos] for listing in listings]
        assert strip[0] == strip[1]
        assert config.folds(root, one) == config.folds(other, two)
        assert all(video.files["video"].is_file() for video in two.videos)

    def test_of_two_files_of_one_video_one_is_taken(self, root: Path):
        whole = KTH().listing(root)
        (root / "boxing").mkdir()
        (root / "boxing/person03_boxing_d2.mp4").touch()
        listing = KTH().listing(root)
        assert listing.videos == whole.videos
        assert listing.remarks[0].endswith("boxing/person03_boxing_d2.mp4 beside person03_boxing_d2_uncomp.avi")

    def test_missing_files_are_counted(self, root: Path):
        for stem in ("person02_jogging_d3", "person20_walking_d1"):
            (root / f"{stem}_uncomp.avi").unlink()
        with pytest.raises(InputError, match=r"2 of 599 files are missing in .*, such as person02_jogging_d3; present"):
            KTH().listing(root)
        config = KTH(present_only=True)
        listing = config.listing(root)
        assert len(listing.videos) == 597
        assert config.notes(listing) == ("Only 597 of KTH's 599 videos are present, covering 6 of its 6 actions.",)

    def test_a_link_that_the_user_made(self, root: Path, tmp_path: Path):
        whole = KTH().listing(root)
        (root / "person01_boxing_d1_uncomp.avi").rename(tmp_path / "aside.avi")
        (root / "person01_boxing_d1_uncomp.avi").symlink_to(tmp_path / "aside.avi")
        assert KTH().listing(root) == whole


class TestList:
    def test_segments_of_all_videos(self, root: Path):
        full_list(root)
        config = KTH(form="kth2")
        listing = config.listing(root)
        assert len(listing.videos) == 2 * 599
        shown = {video.id: video for video in listing.videos}
        assert shown["person01_boxing_d2/1"].frames == (0, 21)
        assert shown["person01_boxing_d2/2"].frames == (29, 40)
        assert shown["person01_boxing_d2/2"].files == shown["person01_boxing_d2/1"].files
        train, test = (sorted({id.split("/")[0] for id in half}) for half in _halves(config.folds(root, listing)[0]))
        plain = KTH()
        assert (tuple(train), tuple(test)) == _halves(plain.folds(root, plain.listing(root))[0])

    def test_the_real_list(self, shared: Path, root: Path):
        segments = read_segments(shared / "kth" / SEGMENTS_LIST)
        assert segments.keys() == {*RECORDED, MISSING}
        assert segments[MISSING] == []
        assert sum(map(len, segments.values())) == 2391
        fewer = {stem: len(ranges) for stem, ranges in segments.items() if len(ranges) != 4}
        assert sorted(fewer.values()) == [0, 3, 3, 3, 3, 3]
        assert segments["person01_boxing_d1"] == [(0, 95), (95, 185), (185, 245), (245, 360)]
        assert segments["person16_handwaving_d4"][2:] == [(206, 311), (211, 456)]  # they overlap
        assert segments["person07_jogging_d4"][1:3] == [(269, 332), (193, 264)]  # and these are out of order
        shutil.copy(shared / "kth" / SEGMENTS_LIST, root)
        assert len(KTH(form="kth2").listing(root).videos) == 2391

    def test_whole_videos_need_no_list(self, root: Path):
        assert len(KTH().listing(root).videos) == 599
        with pytest.raises(
            InputError, match=rf"{SEGMENTS_LIST}: No such file or directory; this official list is needed"
        ):
            KTH(form="kth2").listing(root)

    def test_videos_that_it_lacks_are_counted(self, root: Path):
        write_segments(root, FIRST)
        with pytest.raises(
            InputError, match=rf"{SEGMENTS_LIST}: 598 of 599 videos have no line, such as person01_boxing_d2"
        ):
            KTH(form="kth2").listing(root)

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("person02_boxing_d1 frames 1-95 96-185", "a line is <video> frames <first>-<last>, <first>-<last>"),
            ("person02_boxing_d1 frames 1-95,", "a line is"),
            ("person02_boxing_d1 frames 1-95, 96", "a line is"),
            ("person02_boxing_d1 frames 1–95", "a line is"),
            ("person02_boxing_d1 frames -1-95", "a line is"),
            ("person02_boxing_d1 frames 1-" + "9" * 5000, "a line is"),
            ("person02_boxing_d1 1-95", "a line is"),
            ("The sequences", "a line is"),
            ("person02_boxing_d1 frames 0-95", "0-95; frames are counted from 1"),
            ("person02_boxing_d1 frames 1-50, 95-60", "95-60; frames are counted from 1, and a range must not end"),
            ("person02_boxing_d1 frames", f"only {MISSING}, which is missing from KTH, has no frames"),
            ("person02_boxing_d1 *missing*", f"only {MISSING}"),
            (f"{MISSING} frames 1-95", f"only {MISSING}"),
            ("person02_boxing_d5 frames 1-95", "'person02_boxing_d5' is none of the videos, such as person01"),
            ("person1_boxing_d1 frames 1-95", "'person1_boxing_d1' is none of the videos"),
            (FIRST, "'person01_boxing_d1' is listed a second time"),
        ],
    )  # fmt: skip
    def test_wrong_lines(self, tmp_path: Path, line: str, match: str):
        path = write_segments(tmp_path, "preface", FIRST, "", line)
        with pytest.raises(InputError, match=rf"{SEGMENTS_LIST}, line 4: .*{match.replace('*', '.')}"):
            read_segments(path)

    def test_a_list_that_is_no_text(self, tmp_path: Path):
        (tmp_path / SEGMENTS_LIST).write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match="not a text file"):
            read_segments(tmp_path / SEGMENTS_LIST)

    def test_mutated_lists_are_read_or_refused_with_a_sentence(self, tmp_path: Path):
        entries = [f"{stem} frames 1-{20 + n}, {30 + n}-{400 - n}" for n, stem in enumerate(RECORDED[:40])]
        whole = write_segments(tmp_path, *entries).read_bytes()
        refused = []
        for seed in range(20 * len(TEXT)):
            name, content = mutated(whole, TEXT, seed)
            (tmp_path / SEGMENTS_LIST).write_bytes(content)
            try:
                segments = read_segments(tmp_path / SEGMENTS_LIST)
            except InputError as error:
                refused.append(str(error).removeprefix(str(tmp_path)))
                continue
            assert segments.keys() <= {*RECORDED, MISSING}, name
            ranges = [each for found in segments.values() for each in found]
            assert all(0 <= start < end < 10**9 for start, end in ranges), name
        assert 4 * len(TEXT) < len(refused) < 16 * len(TEXT)
        assert not any("\n" in sentence or len(sentence) > 600 for sentence in refused)

    def test_the_stick_figures_list_reads_the_same(self, tmp_path: Path):
        config = StickFigures(subjects=2, scenarios=("d1",))
        write_segments(tmp_path, config._segments_text().strip())
        assert {len(ranges) for ranges in read_segments(tmp_path / SEGMENTS_LIST).values()} == {2}


# The published person01_boxing_d4 is cut off within its 305th frame.


def test_the_video_that_is_cut_off_is_clipped_to_its_whole_frames(root: Path):
    full = full_list(root)
    text = full.read_text().splitlines()
    (place,) = (n for n, line in enumerate(text) if line.startswith("person01_boxing_d4"))
    text[place] = "person01_boxing_d4 frames 1-106, 107-170, 171-245, 246-370, 340-350"
    write_segments(root, *text)
    segments = {video.id: video.frames for video in KTH(form="kth2").listing(root).videos}
    ranges = [segments[f"person01_boxing_d4/{n}"] for n in (1, 2, 3, 4, 5)]
    assert ranges == [(0, 106), (106, 170), (170, 245), (245, 304), (339, 350)]
    whole = {video.id: video.frames for video in KTH().listing(root).videos}
    assert {id: frames for id, frames in whole.items() if frames} == {"person01_boxing_d4": (0, 304)}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_what_is_left_of_a_file_cut_off_like_it_decodes(shared: Path, tmp_path: Path, share: float):
    path = tmp_path / "person01_boxing_d4_uncomp.avi"
    path.write_bytes(cut_within_frame(shared / "kth/person25_boxing_d4_uncomp.avi", 304, share))
    config = KTH(present_only=True)
    (listed,) = config.listing(tmp_path).videos
    assert length(path, listed.frames) == 304
    write_segments(tmp_path, "person01_boxing_d4 frames 1-106, 107-170, 171-245, 246-370")
    lengths = [length(path, each.frames) for each in KTH(form="kth2", present_only=True).listing(tmp_path).videos]
    assert lengths == [106, 64, 75, 59]
    for frames in (None, (245, 370)):
        with pytest.raises(UnusableVideo):
            length(path, frames)


def cut_within_frame(path: Path, frame: int, share: float) -> bytes:
    """An AVI file's bytes up to some share of a frame's chunk."""
    content = path.read_bytes()
    place = content.index(b"movi") + 4
    for _ in range(frame):
        name, size = struct.unpack_from("<4sI", content, place)
        assert name in (b"00db", b"00dc")
        place += 8 + size + size % 2
    return content[: place + 8 + int(share * struct.unpack_from("<I", content, place + 4)[0])]


def length(path: Path, frames: tuple[int, int] | None) -> int:
    return sum(len(block.frames) for block in decode(path, colour="grey", frames=frames))


# The ten real videos.


class TestRealVideos:
    def test_the_figures(self, shared: Path):
        root = shared / "kth"
        with pytest.raises(InputError, match="589 of 599 files are missing"):
            KTH().listing(root)
        whole = KTH(present_only=True)
        assert len(whole.listing(root).videos) == 10
        config = KTH(form="kth2", present_only=True)
        listing = config.listing(root)
        assert listing.classes == ("boxing", "running", "walking")
        assert len(listing.videos) == 40
        assert [len(halves) for fold in config.folds(root, listing) for halves in _halves(fold)] == [24, 16] * 5
        assert config.notes(listing)[0] == "Only 10 of KTH's 599 videos are present, covering 3 of its 6 actions."

    def test_segments_decode_to_their_lengths_and_files_to_their_last(self, shared: Path):
        root = shared / "kth"
        listed = KTH(form="kth2", present_only=True).listing(root).videos
        for each in listed:
            assert each.frames is not None
            assert length(each.files["video"], each.frames) == each.frames[1] - each.frames[0]
        for each in KTH(present_only=True).listing(root).videos:
            last = max(one.frames[1] for one in listed if one.id.startswith(f"{each.id}/") and one.frames)
            assert length(each.files["video"], each.frames) == last

    def test_a_segment_shows_the_frames_that_the_list_means(self, shared: Path):
        path = shared / "kth/person01_boxing_d1_uncomp.avi"
        everything = np.concatenate([block.frames for block in decode(path, colour="grey")])
        third = KTH(form="kth2", present_only=True).listing(shared / "kth").videos[2]
        assert third.id == "person01_boxing_d1/3"
        assert np.array_equal(read(path, colour="grey", frames=third.frames).frames, everything[185:245])


def _halves(fold: Fold) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return fold.train, fold.test
