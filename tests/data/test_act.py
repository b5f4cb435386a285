"""ACT: its manifest, and what it must not hold."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from tests.support.toy_datasets import act, write_lines


class TestACT:
    def test_classes_and_halves(self, tmp_path: Path):
        config = act(tmp_path)
        listing = config.listing(tmp_path)
        assert listing.classes == ("kick bag", "kick people")
        (fold,) = config.folds(tmp_path, listing)
        assert fold.test == ("clips/kick bag_2", "clips/kick people_2")
        assert config.notes(listing) == ("6 videos of 2 classes are used; 11,234 of 43 were published.",)

    @pytest.mark.parametrize(
        ("line", "match"),
        [
            ("clips/kick bag_0.avi,kick bag,later", "line 2: split 'later'; it must be train or test"),
            ("../kick.avi,kick bag,train", "line 2: .*kick.avi leaves the data root"),
            ("/kick.avi,kick bag,train", "line 2: /kick.avi leaves the data root"),
            ("clips/kick.txt,kick bag,train", "line 2: kick.txt is not a video"),
            ("clips/kick bag_0.avi,,train", "the label is empty"),
            ("clips/kick.avi,kick bag,train", "1 of 1 files are missing"),
            ("clips/kick bag_0.avi,a,train\nclips/kick bag_0.avi,b,test", "line 3: .* is listed a second time"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, line: str, match: str):
        config = act(tmp_path)
        write_lines(tmp_path / "act.csv", "path,label,split", line)
        with pytest.raises(InputError, match=match):
            config.listing(tmp_path)

    def test_segments_are_videos_of_their_own(self, tmp_path: Path):
        config = act(tmp_path)
        rows = ["0,90,kick bag,train", "90,200,kick people,test"]
        write_lines(
            tmp_path / "act.csv", "path,start_frame,end_frame,label,split", *(f"clips/kick bag_0.avi,{r}" for r in rows)
        )
        assert [video.frames for video in config.listing(tmp_path).videos] == [(0, 90), (90, 200)]

    def test_the_split_is_needed(self, tmp_path: Path):
        config = act(tmp_path)
        write_lines(tmp_path / "act.csv", "path,label", "clips/kick bag_0.avi,a", "clips/kick bag_1.avi,b")
        with pytest.raises(InputError, match="line 2: no split; the column split is needed"):
            config.folds(tmp_path, config.listing(tmp_path))

    def test_videos_for_validation(self, tmp_path: Path):
        config = act(tmp_path)
        text = (tmp_path / "act.csv").read_text()
        (tmp_path / "act.csv").write_text(text.replace("bag_1.avi,kick bag,train", "bag_1.avi,kick bag,val"))
        listing = config.listing(tmp_path)
        (fold,) = config.folds(tmp_path, listing)
        assert "clips/kick bag_1" not in fold.train + fold.test
        (trained,) = config.model_copy(update={"train_on_validation": True}).folds(tmp_path, listing)
        assert set(trained.train) == {*fold.train, "clips/kick bag_1"}
        assert trained.test == fold.test
