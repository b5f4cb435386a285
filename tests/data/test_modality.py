"""Kinds of files: every ending that libav lists is a video's, may be one, or is known not to be."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data.modality import AMBIGUOUS_ENDINGS, VIDEO_ENDINGS, holds_numbers, holds_video, modality
from pipeline.errors import InputError
from pipeline.video import probe
from pipeline.video.encode import write

NO_VIDEOS = {
    "sound": "302 722 aa aa3 aac aax ac3 ac4 acm adp ads adx aea afc aif aifc aiff aix al amr apac apc ape apl apm "
    "aptx aptxhd ast au aud avr bcstm bfstm binka bit bonk brstm c2 caf daud dfpwm dss dtk dts dtshd eac3 ec3 fap "
    "flac fsb fwse g722 g723_1 g728 g729 genh gsm hca iamf ircam isma laf lbc lc3 m2a m4a m4b mac mca mka mlp mmf mp2 "
    "mp3 mpa mpc msbc msf mtaf musx nist nsp oma omg osq paf pcm pvf qoa ra rco rka rsd rso sb sbc sbg sdr2 sds "
    "sdx sf shn sln son sox spdif sph ss2 sun svag svs sw tak tco tga thd tta tun ub ul uw vag voc vpk vqe vqf "
    "vql w64 wa wav way wma wsd wv xvag",
    "pictures": "avif bmp exr fits heic heif ice ico j2c j2k jls jp2 jpeg jpg jxl jxs lbm ljpg mpo pam pbm pcx pfm pgm "
    "pgmyuv phm pix png ppm qoi ras rs sgi sunras tif tiff wbmp webp xbm xface xwd im1 im24 im8 dpx hdr",
    "text and subtitles": "adf ans aqt art asc ass cdg diz ffmeta idf idx ism jss js lrc m3u8 mcc mks mpl2 nfo pjs rt "
    "sami scc smi srt ssa stl sub sup txt vt vtt webvtt xml rst",
    "pictures without a size": "bitpacked cif qcif rgb v210 y yuv yuv10",
    "games, and endings of other programs": "cdata cgi cvg sdns str v vb vbn xl xmd",
}


def test_every_ending_that_libav_lists_is_known() -> None:
    formats = map(av.ContainerFormat, av.formats_available)
    listed = {f".{ending}" for each in formats if each.is_input for ending in each.extensions}
    others = {f".{ending}" for endings in NO_VIDEOS.values() for ending in endings.split()}
    assert listed - VIDEO_ENDINGS - AMBIGUOUS_ENDINGS - others == set()
    assert not (VIDEO_ENDINGS | AMBIGUOUS_ENDINGS) & others


@pytest.mark.parametrize(
    "ending", ["gif", "m2ts", "vob", "asf", "mpe", "m2v", "divx", "qt", "f4v", "3g2", "mxf", "y4m"]
)
def test_endings_that_were_passed_over(ending: str) -> None:
    assert modality(Path(f"run.{ending}")) == modality(Path(f"run.{ending.upper()}")) == "video"


class TestContent:
    def test_videos(self, tmp_path: Path):
        write(tmp_path / "clip.mp4", np.zeros((5, 32, 48, 3), np.uint8), 25)
        assert holds_video((tmp_path / "clip.mp4").rename(tmp_path / "clip"))

    def test_others(self, tmp_path: Path):
        cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((32, 48, 3), np.uint8))
        (tmp_path / "text").write_text("plain text\n" * 1000)
        (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(10_000))
        (tmp_path / "nothing").touch()
        (tmp_path / "link").symlink_to("nowhere")
        assert not any(holds_video(path) for path in tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("0.5 1 2 1\n", True),
            ("\n\n-1e3 2\n", True),
            ("", True),
            ("1 2 3 nonsense", True),
            ("0.5,1,2\n", True),
            ("frame;0,5;1", True),
            ("103\n1\n72057594037931101 0 1 1 0 0 0 0.1 0.2 2\n", True),
            ("frame,x,y\n1,0.5,1\n", False),
            ("a note of 3 May", False),
        ],
    )
    def test_texts(self, tmp_path: Path, text: str, numbers: bool):
        (tmp_path / "a.txt").write_text(text)
        assert holds_numbers(tmp_path / "a.txt") == numbers

    def test_a_disk_that_fails_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def fails(path: Path) -> bool:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(probe, "holds_video", fails)
        with pytest.raises(InputError, match="clip: Input/output error"):
            holds_video(tmp_path / "clip")
