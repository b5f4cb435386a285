"""Interlaced films: both fields of a frame become one picture, at its time."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from tests.support.films import decoded, encode, number_of, numbered, pictures_of

INTERLACED = {"flags": "+ildct+ilme"}
STEP_PX = 6


def moving(fields: int) -> list[np.ndarray]:
    """A white bar that moves from field to field, two fields woven into each picture, the upper first."""
    shown = []
    for field in range(fields):
        picture = np.full((96, 192, 3), 40, np.uint8)
        picture[:, 10 + STEP_PX * field : 40 + STEP_PX * field] = 220
        shown.append(picture)
    woven = []
    for first, second in zip(shown[::2], shown[1::2], strict=True):
        picture = first.copy()
        picture[1::2] = second[1::2]
        woven.append(picture)
    return woven


def combing(picture: np.ndarray) -> float:
    """Mean difference between a line and the mean of its neighbours: that of fields of two times is large."""
    grey = picture.astype(float).mean(-1)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def film(path: Path, pictures: list[np.ndarray], interlaced: bool = True) -> Path:
    return encode(path, pictures, "mpeg2video", "mpeg", encoder={"b": "8M", **(INTERLACED if interlaced else {})})


def test_fields_of_two_times_are_not_woven(tmp_path: Path) -> None:
    woven = moving(24)
    blocks, fault = decoded(film(tmp_path / "x.mpg", woven))
    assert not fault
    assert len(pictures_of(blocks)) == 12
    assert max(map(combing, pictures_of(blocks))) < min(map(combing, woven)) / 3
    assert blocks[-1].notes == {"deinterlaced_frames": 12}
    np.testing.assert_allclose(np.concatenate([block.times for block in blocks]), np.arange(12) / 25, atol=1e-6)


def test_they_are_the_pictures_of_bwdif(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mpg", moving(24))
    with av.open(str(path)) as file:
        stream, peers = file.streams.video[0], []
        graph = Graph()
        nodes = [graph.add_buffer(template=stream), graph.add("bwdif", "0"), graph.add("buffersink")]
        for first, second in itertools.pairwise(nodes):
            first.link_to(second)
        graph.configure()
        for frame in [*file.decode(stream), None]:
            graph.vpush(frame)
            while True:
                try:
                    peers.append(graph.vpull().to_ndarray(format="rgb24"))
                except (av.BlockingIOError, av.EOFError):
                    break
    ours = pictures_of(decoded(path)[0])
    assert len(ours) == len(peers)
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(ours, peers, strict=True)) <= 3


def test_frames_and_colours_stay(tmp_path: Path) -> None:
    """What does not move comes out the same, flagged as interlaced or not; a few frames, a range, or one alone."""
    still = [numbered(1)[0]] * 9
    plain = pictures_of(decoded(film(tmp_path / "plain.mpg", still, interlaced=False))[0])
    path = film(tmp_path / "x.mpg", still)
    ours = pictures_of(decoded(path)[0])
    assert len(ours) == len(plain) == 9
    assert np.abs(ours[4].astype(int) - plain[4]).mean() < 2
    assert len(pictures_of(decoded(path, frames=(3, 7))[0])) == 4
    assert decoded(path, frames=(3, 7))[0][-1].notes == {"deinterlaced_frames": 4}
    assert len(pictures_of(decoded(film(tmp_path / "one.mpg", still[:1]))[0])) == 1


@pytest.mark.parametrize("interlaced_first", [True, False])
def test_a_film_that_is_interlaced_in_part(tmp_path: Path, interlaced_first: bool) -> None:
    parts = [
        encode(tmp_path / f"{flagged}.ts", numbered(6), "mpeg2video", "mpegts", encoder=INTERLACED if flagged else {})
        for flagged in (interlaced_first, not interlaced_first)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    blocks, fault = decoded(joined)
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == [*range(6)] * 2
    assert blocks[-1].notes == {"deinterlaced_frames": 6}


def test_a_fault_comes_after_every_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "x.mpg", moving(24))
    cut = tmp_path / "cut.mpg"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    plain, fault = decoded(cut)
    with av.open(str(cut)) as file:
        assert len(pictures_of(plain)) == sum(1 for _ in file.decode(video=0))
    assert "cut off" in fault
