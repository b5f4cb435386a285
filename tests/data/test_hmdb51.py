"""HMDB51: its figures, and what its lists must not hold."""

from collections import Counter
from pathlib import Path

import pytest

from data.hmdb51 import HMDB51
from pipeline.errors import InputError
from tests.support.toy_datasets import HMDB_TOY, emptied_copy, hmdb51


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

    def test_links_out_of_the_videos(self, tmp_path: Path):
        config = hmdb51(tmp_path / "root")
        victim = config.listing(tmp_path / "root").videos[0].files["video"]
        victim.rename(tmp_path / "aside.avi")
        victim.symlink_to(tmp_path / "aside.avi")
        with pytest.raises(InputError, match="leaves the data root"):
            config.listing(tmp_path / "root")
