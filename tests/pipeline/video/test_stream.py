"""Which of several video streams is the film."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import add, decoded, encode, number_of, numbered, pictures_of

SOUND_RATE = 8000


def with_cover(path: Path, film_frames: int) -> Path:
    """A cover, marked as such, before a film, or before sound alone, as music and phones' files have it."""
    (cover,) = numbered(1, 600, 600)
    with av.open(str(path), "w") as file:
        picture = file.add_stream("mjpeg", 25)
        picture.width, picture.height, picture.pix_fmt = 600, 600, "yuvj444p"
        picture.disposition = av.stream.Disposition.attached_pic
        write = add(file, numbered(film_frames)) if film_frames else _sound(file)
        frame = av.VideoFrame.from_ndarray(cover, format="rgb24").reformat(format="yuvj444p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        file.mux([*picture.encode(frame), *picture.encode(None)])
        write()
    path.write_bytes(_udta_first(path.read_bytes()))
    return path


def _udta_first(content: bytes) -> bytes:
    """The same MP4 with its cover, in the box udta at the end of moov, before the tracks: moov comes last itself."""
    moov = content.index(b"moov") - 4
    header, body = content[moov : moov + 8], content[moov + 8 :]
    boxes = []
    while body:
        length = int.from_bytes(body[:4])
        boxes.append(body[:length])
        body = body[length:]
    boxes.sort(key=lambda box: (b"mvhd", b"udta").index(box[4:8]) if box[4:8] in (b"mvhd", b"udta") else 2)
    return content[:moov] + header + b"".join(boxes)


def _sound(file):
    stream = file.add_stream("aac", SOUND_RATE)

    def write() -> None:
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SOUND_RATE, number * 1024
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))

    return write


def test_a_cover_before_a_film_is_not_the_film(tmp_path: Path) -> None:
    blocks, fault = decoded(with_cover(tmp_path / "x.mp4", 12))
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(12))
    assert pictures_of(blocks)[0].shape == (120, 160, 3)
    assert blocks[0].fps == 25
    assert blocks[0].notes == {"stream": 1}


def test_a_cover_beside_sound_is_no_video(tmp_path: Path) -> None:
    assert "no video stream" in decoded(with_cover(tmp_path / "x.mp4", 0))[1]


@pytest.mark.parametrize("preview_first", [True, False])
def test_a_preview_is_not_the_film(tmp_path: Path, preview_first: bool) -> None:
    path = tmp_path / "x.mp4"
    tracks = [numbered(3, 40, 30), numbered(12)]
    with av.open(str(path), "w") as file:
        writers = [add(file, track) for track in (tracks if preview_first else tracks[::-1])]
        for stream in file.streams.video:
            stream.disposition = av.stream.Disposition.default
        for write in writers:
            write()
    blocks, fault = decoded(path)
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(12))
    assert blocks[0].notes == ({"stream": 1} if preview_first else {})


def test_the_default_track_is_shown_though_another_is_larger(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as file:
        writers = [add(file, numbered(4, 320, 240)), add(file, numbered(9))]
        file.streams.video[0].disposition = av.stream.Disposition(0)
        file.streams.video[1].disposition = av.stream.Disposition.default
        for write in writers:
            write()
    blocks, fault = decoded(path)
    assert not fault
    assert len(pictures_of(blocks)) == 9


def test_one_stream_is_nothing_to_note(tmp_path: Path) -> None:
    (block, *_), _ = decoded(encode(tmp_path / "x.mp4", numbered(3)))
    assert block.notes == {}


@pytest.mark.parametrize(("name", "frames"), [("cover_first.mp4", 100), ("audio_cover.mp4", 0)])
def test_cases(shared: Path, name: str, frames: int) -> None:
    blocks, fault = decoded(shared / "cases" / name)
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(frames))
    assert bool(fault) == (not frames)
