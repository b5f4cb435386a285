"""HMDB51: its figures, and what its lists must not hold."""

from collections import Counter
from pathlib import Path

import pytest

from data.hmdb51 import HMDB51
from pipeline.config import parse
from pipeline.errors import InputError
from tests.support.toy_datasets import HMDB_TOY, emptied_copy, hmdb51, touch


class TestHMDB51:
    def test_the_whole(self, shared: Path, tmp_path: Path):
        listing, folds = emptied_copy(HMDB51(split="all"), shared / "hmdb51" / "splits", tmp_path)
        assert (len(listing.videos), len(listing.classes)) == (6766, 51)
        assert list(listing.classes) == sorted(listing.classes)
        source = {video.id: video.subject for video in listing.videos}
        for fold in folds:
            assert Counter(id.split("/")[0] for id in fold.train) == dict.fromkeys(listing.classes, 70)
            assert Counter(id.split("/")[0] for id in fold.test) == dict.fromkeys(listing.classes, 30)
            assert not {source[id] for id in fold.train} & {source[id] for id in fold.test}
        assert len({fold.test for fold in folds}) == 3
        assert Counter(name for names in HMDB51().groups.values() for name in names) == Counter(listing.classes)
        assert [len(names) for names in HMDB51().groups.values()] == [4, 3, 19, 18, 7]

    def test_unused_videos_are_listed_but_in_neither_half(self, tmp_path: Path):
        config = hmdb51(tmp_path)
        listing = config.listing(tmp_path)
        assert len(listing.videos) == 9
        for fold in config.folds(tmp_path, listing):
            assert len(fold.train) == 5
            assert fold.test == ("draw_sword/Film1_draw_sword_u_nm_np2_le_goo_0", f"wave/{HMDB_TOY['wave'][2]}")

    @pytest.mark.parametrize(
        "line",
        [
            "a_wave_b.avi 3",
            "a_wave_b.avi",
            "../a_wave_b.avi 1",
            "/etc/a_wave_b.avi 1",
            "..\\a_wave_b.avi 1",
            "a.avi 1 2",
        ],
    )
    def test_malformed_lists(self, tmp_path: Path, line: str):
        config = hmdb51(tmp_path)
        with open(tmp_path / "splits/wave_test_split1.txt", "a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=r"wave_test_split1\.txt, line 5"):
            config.listing(tmp_path)

    def test_links_that_the_user_made(self, tmp_path: Path):
        config = hmdb51(tmp_path / "root")
        whole = config.listing(tmp_path / "root")
        victim = whole.videos[0].files["video"]
        victim.rename(tmp_path / "aside.avi")
        victim.symlink_to(tmp_path / "aside.avi")
        assert config.listing(tmp_path / "root") == whole

    def test_a_name_that_a_store_has_for_itself_and_one_with_other_accents(self, tmp_path: Path):
        config = hmdb51(tmp_path)
        composed, decomposed = "caf\u00e9_wave_0", "cafe\u0301_wave_0"
        touch(tmp_path / "videos/wave", "reason.avi", f"{decomposed}.avi")
        for split in (1, 2, 3):
            with open(tmp_path / f"splits/wave_test_split{split}.txt", "a") as file:
                file.write(f"reason.avi 1\n{composed}.avi 2\n")
        listing = config.listing(tmp_path)
        added = {video.id: video.files["video"].stem for video in listing.videos[-4:]}
        assert added.items() >= {f"wave/{composed}": decomposed, "wave/\\x72eason": "reason"}.items()
        assert all(f"wave/{composed}" in fold.test for fold in config.folds(tmp_path, listing))

    def test_some_classes_of_the_whole(self, tmp_path: Path):
        hmdb51(tmp_path)
        config = HMDB51(split=1, classes=("wave",))
        listing = config.listing(tmp_path)
        assert listing.classes == ("wave",)
        assert {video.id.split("/")[0] for video in listing.videos} == {"wave"}
        whole = HMDB51(split=1).listing(tmp_path)
        assert [video.id for video in listing.videos] == [
            video.id for video in whole.videos if video.id.startswith("wave/")
        ]
        (part,), (all_of_it,) = config.folds(tmp_path, listing), HMDB51(split=1).folds(tmp_path, whole)
        assert part.test == tuple(id for id in all_of_it.test if id.startswith("wave/"))
        with pytest.raises(InputError, match="classes: unknown class 'waves': did you mean 'wave'"):
            HMDB51(classes=("waves",)).listing(tmp_path)
        with pytest.raises(InputError, match="unknown field of HMDB51 'clips'"):
            parse(HMDB51, {"name": "hmdb51", "clips": [1]})
