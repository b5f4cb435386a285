"""The picture that a player shows: orientation, proportions and size."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.video.picture import ORIENTATIONS
from tests.support.films import corners, decoded, encode, number_of, numbered, pictures_of

ONE = 1 << 16
# a, b, c and d of the display matrix, and what ffmpeg's autorotate filters for it
MATRICES = {
    "": (1, 0, 0, 1, ""),
    "mirrored left to right": (-1, 0, 0, 1, "hflip"),
    "mirrored top to bottom": (1, 0, 0, -1, "vflip"),
    "turned by 180 degrees": (-1, 0, 0, -1, "hflip,vflip"),
    "transposed": (0, 1, 1, 0, "transpose=cclock_flip"),
    "turned clockwise by 90 degrees": (0, 1, -1, 0, "transpose=clock"),
    "turned anticlockwise by 90 degrees": (0, -1, 1, 0, "transpose=cclock"),
    "transposed along the other diagonal": (0, -1, -1, 0, "transpose=clock_flip"),
}


def with_matrix(path: Path, a: float, b: float, c: float, d: float, **options: object) -> Path:
    """A film whose track header has this matrix, which libav itself writes only as a turn."""
    _set_matrix(encode(path, numbered(6), **options), a, b, c, d)
    return path


def _set_matrix(path: Path, a: float, b: float, c: float, d: float) -> None:
    content = path.read_bytes()
    place = content.index(b"tkhd") + 4 + 40
    values = [round(v * ONE) for v in (a, b, 0, c, d, 0, 0, 0)] + [1 << 30]
    matrix = b"".join(value.to_bytes(4, signed=True) for value in values)
    path.write_bytes(content[:place] + matrix + content[place + 36 :])


def filtered(path: Path, filters: str) -> list[np.ndarray]:
    """What libavfilter makes of the frames as they are coded."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = []
        for frame in file.decode(stream):
            graph = av.filter.Graph()
            nodes = [graph.add_buffer(template=stream)]
            nodes += [graph.add(*step.split("=")) for step in filters.split(",") if step]
            nodes.append(graph.add("buffersink"))
            for first, second in itertools.pairwise(nodes):
                first.link_to(second)
            graph.configure()
            graph.vpush(frame)
            frames.append(graph.vpull().to_ndarray(format="rgb24"))
    return frames


@pytest.mark.parametrize("name", MATRICES)
def test_the_eight_orientations_are_those_of_ffmpeg(tmp_path: Path, name: str) -> None:
    *matrix, filters = MATRICES[name]
    path = with_matrix(tmp_path / "x.mp4", *matrix)
    blocks, fault = decoded(path)
    assert not fault
    peers = filtered(path, filters)
    assert corners(pictures_of(blocks)[0]) == corners(peers[0])
    for ours, peer in zip(pictures_of(blocks), peers, strict=True):
        assert ours.shape == peer.shape
        assert np.abs(ours.astype(int) - peer).mean() < 3
    assert blocks[0].notes == ({"orientation": name} if name else {})


def test_every_orientation_has_a_name() -> None:
    assert {*ORIENTATIONS.values(), ""} == set(MATRICES)


@pytest.mark.parametrize("degrees", [-30, 20, 100])
def test_other_angles_are_the_nearest_that_keeps_the_sides(tmp_path: Path, degrees: int) -> None:
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    blocks, fault = decoded(with_matrix(tmp_path / "x.mp4", cosine, sine, -sine, cosine))
    assert not fault
    assert blocks[0].notes == ({"orientation": "turned clockwise by 90 degrees"} if degrees == 100 else {})


@pytest.mark.parametrize(("aspect", "width"), [("2/1", 160), ("16/15", 171), ("1/2", 80), ("10/11", 145)])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_samples_that_are_not_square(tmp_path: Path, aspect: str, width: int, colour: str) -> None:
    coded = 80 if aspect == "2/1" else 160
    squeezed = [np.asarray(cv2.resize(picture, (coded, 120))) for picture in numbered(5)]
    path = encode(tmp_path / "x.mp4", squeezed, sample_aspect_ratio=Fraction(aspect))
    blocks, fault = decoded(path, colour=colour)
    assert not fault
    assert pictures_of(blocks)[0].shape[:2] == (120, width)
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(5))
    assert blocks[0].notes == {"sample_aspect": aspect.replace("/", ":")}


def test_proportions_are_those_before_the_turn(tmp_path: Path) -> None:
    path = with_matrix(tmp_path / "x.mp4", 0, 1, -1, 0, sample_aspect_ratio=Fraction(2))
    blocks, fault = decoded(path)
    assert not fault
    assert pictures_of(blocks)[0].shape == (320, 120, 3)


@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_a_change_of_size_is_brought_to_the_first(tmp_path: Path, colour: str) -> None:
    parts = [
        encode(tmp_path / f"{width}.ts", numbered(count, width, height), container="mpegts")
        for count, width, height in ((5, 160, 120), (7, 320, 240))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    blocks, fault = decoded(joined, colour=colour)
    assert not fault
    assert {picture.shape[:2] for picture in pictures_of(blocks)} == {(120, 160)}
    assert [number_of(picture) for picture in pictures_of(blocks)] == [*range(5), *range(7)]
    assert blocks[-1].notes == {"resized_frames": 7}
    assert (np.diff(np.concatenate([block.times for block in blocks])) > 0).all()
    later, _ = decoded(joined, frames=(6, 9), colour=colour)  # of the file's first frame, though it is not delivered
    assert {picture.shape[:2] for picture in pictures_of(later)} == {(120, 160)}
    assert later[-1].notes == {"resized_frames": 3}


def test_a_change_of_the_samples_aspect_is_followed(tmp_path: Path) -> None:
    """As broadcasts go from 4:3 to 16:9: the second part is brought to the size of the first."""
    parts = [
        encode(tmp_path / f"{number}.ts", numbered(10), "mpeg2video", "mpegts", sample_aspect_ratio=Fraction(aspect))
        for number, aspect in enumerate(("1", "4/3"))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    blocks, fault = decoded(joined)
    assert not fault
    assert {picture.shape for picture in pictures_of(blocks)} == {(120, 160, 3)}
    assert blocks[-1].notes["sample_aspect"] == "4:3"
    assert 9 <= blocks[-1].notes["resized_frames"] <= 11  # a decoder tells a frame early


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)])
def test_side_data_without_a_name_do_no_harm(tmp_path: Path, matrix: tuple[int, ...] | None) -> None:
    """EXIF, which cameras write into each picture, has none in PyAV: an angle is told all the same."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x00\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0"  # a width, no orientation
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif
    path = tmp_path / "x.mov"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", 25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        for number, picture in enumerate(numbered(5)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                content = bytes(packet)
                tagged = av.Packet(content[:2] + segment + content[2:])
                tagged.pts, tagged.dts, tagged.time_base = packet.pts, packet.dts, packet.time_base
                tagged.stream, tagged.is_keyframe = stream, True
                file.mux(tagged)
    if matrix:
        _set_matrix(path, *matrix)
    blocks, fault = decoded(path)
    assert not fault
    assert len(pictures_of(blocks)) == 5
    assert blocks[0].notes == ({"orientation": "turned clockwise by 90 degrees"} if matrix else {})


def test_transparency_is_left_out(tmp_path: Path) -> None:
    (picture,) = numbered(1)
    clear = np.concatenate([picture, np.full((120, 160, 1), 40, np.uint8)], -1)
    with av.open(str(tmp_path / "x.mov"), "w") as file:
        stream = file.add_stream("png", 25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgba"
        frame = av.VideoFrame.from_ndarray(clear, format="rgba")
        file.mux([*stream.encode(frame), *stream.encode(None)])
    blocks, _ = decoded(tmp_path / "x.mov")
    assert (pictures_of(blocks)[0] == picture).all()


@pytest.mark.parametrize(
    ("name", "seen", "notes"),
    [
        ("plain.mp4", ["red", "green", "blue", "yellow"], {}),
        ("hflip.mp4", ["green", "red", "yellow", "blue"], {"orientation": "mirrored left to right"}),
        ("sar.mp4", ["red", "green", "blue", "yellow"], {"sample_aspect": "2:1"}),
        ("sizechange.ts", ["red", "green", "blue", "yellow"], {"resized_frames": 50, "clock_restarts": 1}),
    ],
)
def test_cases(shared: Path, name: str, seen: list[str], notes: dict[str, object]) -> None:
    blocks, fault = decoded(shared / "cases" / name)
    assert not fault
    assert {picture.shape for picture in pictures_of(blocks)} == {(120, 160, 3)}
    assert all(corners(picture) == seen for picture in pictures_of(blocks))
    assert blocks[-1].notes == notes
