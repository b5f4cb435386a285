"""Whole files are whole, whatever their headers say, and what is cut off is noticed wherever the file lets one know."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import decoded, encode, number_of, numbered, pictures_of

FRAMES = 100
CONTAINERS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "mp4": ("mp4", "mp4", "libx264", {}),
    "mp4, index first": ("mp4", "mp4", "libx264", {"movflags": "faststart"}),
    "fragmented mp4": ("mp4", "mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("mkv", "matroska", "libx264", {}),
    "webm": ("webm", "webm", "libvpx", {}),
    "avi": ("avi", "avi", "mpeg4", {}),
    "mpg": ("mpg", "mpeg", "mpeg1video", {}),
    "ts": ("ts", "mpegts", "libx264", {}),
    "m2ts": ("m2ts", "mpegts", "libx264", {"mpegts_m2ts_mode": "1"}),
    "ogv": ("ogv", "ogg", "libvpx", {}),
    "wmv": ("wmv", "asf", "wmv2", {}),
    "flv": ("flv", "flv", "flv1", {}),
    "gif": ("gif", "gif", "gif", {}),
}
CANNOT_BE_NOTICED = {
    ("fragmented mp4", "between two fragments"),
    ("ts", "before the last packet"),
    ("m2ts", "before the last packet"),
    ("flv", "before the last packet"),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same film in each container, encoded when first asked for."""
    folder = tmp_path_factory.mktemp("films")

    def film(kind: str) -> Path:
        ending, container, codec, options = CONTAINERS[kind]
        path = folder / f"{kind}.{ending}"
        if not path.exists():
            pixels = "rgb8" if codec == "gif" else "yuv420p"
            encode(path, grainy(FRAMES), codec, container, options=options, pixels=pixels)
        return path

    return film


def grainy(count: int) -> list[np.ndarray]:
    """Numbered pictures with grain between their marks, so that each takes several packets of a stream."""
    rng = np.random.default_rng(0)
    pictures = numbered(count)
    for picture in pictures:
        picture[32:46] = rng.integers(60, 160, (14, 160, 3))
    return pictures


def last_packet(path: Path) -> int:
    with av.open(str(path)) as file:
        return max(packet.pos or 0 for packet in file.demux(video=0) if packet.size)


def places(path: Path, kind: str) -> dict[str, int]:
    content = path.read_bytes()
    cuts = {
        "at a quarter": len(content) // 4 | 1,  # odd, so that by no chance a packet of a stream ends there
        "at half": len(content) // 2 | 1,
        "before the last packet": last_packet(path),
        "within the last packet": last_packet(path) + 20,
    }
    if kind == "fragmented mp4":
        cuts["between two fragments"] = content.rindex(b"moof") - 4
    return cuts


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_whole_film_is_whole(films: Callable[[str], Path], kind: str) -> None:
    blocks, fault = decoded(films(kind))
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(FRAMES))


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_is_cut_off_is_noticed(films: Callable[[str], Path], kind: str, tmp_path: Path) -> None:
    whole = films(kind)
    for place, offset in places(whole, kind).items():
        path = tmp_path / whole.name
        path.write_bytes(whole.read_bytes()[:offset])
        blocks, fault = decoded(path)
        assert len(pictures_of(blocks)) <= FRAMES
        assert bool(fault) == ((kind, place) not in CANNOT_BE_NOTICED), f"{kind} cut {place}: {fault or 'unnoticed'}"


def test_an_edit_list_decides_what_is_shown(tmp_path: Path) -> None:
    """The first of four seconds, and then the second half: as phones trim a film."""
    path = encode(tmp_path / "x.mp4", numbered(FRAMES), options={"movflags": "faststart"}, encoder={"bf": "0"})
    for start, count in ((0, 25), (50, 50)):
        edited = tmp_path / f"{start}.mp4"
        edited.write_bytes(_edited(path.read_bytes(), start, count))
        blocks, fault = decoded(edited)
        assert not fault
        assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(start, start + count))
        assert blocks[0].times[0] == 0


def _edited(content: bytes, start: int, count: int) -> bytes:
    """The film with another entry in its edit list, version 0: duration in 1/1000 s, and start in the track's units."""
    place = content.index(b"elst") + 12
    timescale = 12800
    duration, start_time = count * 1000 // 25, start * timescale // 25
    return content[:place] + duration.to_bytes(4) + start_time.to_bytes(4) + content[place + 8 :]


def test_null_chunks_of_an_avi_are_repeats(tmp_path: Path) -> None:
    """Every other picture dropped, as capture programs do: nothing is missing."""
    path = encode(tmp_path / "x.avi", numbered(50), "mjpeg", "avi", times=range(0, 100, 2), pixels="yuvj420p")
    assert path.read_bytes().count(b"00dc\0\0\0\0") >= 49  # libav writes what is left out as null chunks
    blocks, fault = decoded(path)
    assert not fault
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(50))
    assert [round(time * 25) for block in blocks for time in block.times] == list(range(0, 100, 2))


@pytest.mark.parametrize(
    ("name", "numbers", "whole"),
    [
        ("whole.mp4", range(100), True),
        ("shown.mp4", range(25), True),
        ("half.avi", range(0, 100, 2), True),
        ("frag.mp4", range(100), True),
        ("cut_frag.mp4", range(50), True),  # between two fragments: nothing in the file says so
        ("cut_a.ogv", range(24), False),
    ],
)
def test_cases(shared: Path, name: str, numbers: range, whole: bool) -> None:
    blocks, fault = decoded(shared / "cases" / name)
    assert [number_of(picture) for picture in pictures_of(blocks)] == list(numbers)
    assert (not fault) == whole
