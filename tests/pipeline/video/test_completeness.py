"""Whole files are whole, whatever their headers say, and what is cut off is noticed wherever the file lets one know."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import add, decoded, encode, number_of, numbered, pictures_of

FRAMES = 100
CONTAINERS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "mp4": ("mp4", "mp4", "libx264", {}),
    "mp4, index first": ("mp4", "mp4", "libx264", {"movflags": "faststart"}),
    "fragmented mp4": ("mp4", "mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("mkv", "matroska", "libx264", {}),
    "webm": ("webm", "webm", "libvpx", {}),
    "avi": ("avi", "avi", "mpeg4", {}),
    "mpg": ("mpg", "mpeg", "mpeg1video", {}),
    "mpg, B-frames": ("mpg", "mpeg", "mpeg2video", {}),
    "ts": ("ts", "mpegts", "libx264", {}),
    "ts, B-frames": ("ts", "mpegts", "mpeg2video", {}),
    "m2ts": ("m2ts", "mpegts", "libx264", {"mpegts_m2ts_mode": "1"}),
    "ogv": ("ogv", "ogg", "libvpx", {}),
    "wmv": ("wmv", "asf", "wmv2", {}),
    "flv": ("flv", "flv", "flv1", {}),
    "gif": ("gif", "gif", "gif", {}),
}
CANNOT_BE_NOTICED = {
    ("fragmented mp4", "between two fragments"),
    ("mpg, B-frames", "before the last packet"),
    ("ts", "before the last packet"),
    ("ts, B-frames", "before the last packet"),
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
            encoder = {"bf": "2"} if "B-frames" in kind else {}
            encode(path, grainy(FRAMES), codec, container, options=options, pixels=pixels, encoder=encoder)
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
        "within the last packet": last_packet(path) + (60 if kind == "mpg, B-frames" else 20),  # behind its header
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


def piped(path: Path, container: str, codec: str = "libx264", **options: object) -> bytes:
    """A film that is written to where a writer cannot go back, to fill in sizes."""

    class Pipe(io.RawIOBase):
        written = b""

        def writable(self) -> bool:
            return True

        def write(self, content: bytes) -> int:
            self.written += bytes(content)
            return len(content)

    pipe = Pipe()
    with av.open(pipe, "w", format=container, options=options) as file:
        add(file, numbered(FRAMES), codec)()
    path.write_bytes(pipe.written)
    return pipe.written


def test_an_avi_that_was_written_to_a_pipe_is_whole(tmp_path: Path) -> None:
    content = piped(tmp_path / "x.avi", "avi", "mpeg4")
    for size in (content[4:8], b"\xff" * 4, bytes(4)):
        (tmp_path / "x.avi").write_bytes(content[:4] + size + content[8:])
        blocks, fault = decoded(tmp_path / "x.avi")
        assert not fault
        assert len(pictures_of(blocks)) == FRAMES


def test_a_riff_size_may_count_its_own_header(films: Callable[[str], Path], tmp_path: Path) -> None:
    content = films("avi").read_bytes()
    (tmp_path / "x.avi").write_bytes(content[:4] + len(content).to_bytes(4, "little") + content[8:])
    assert not decoded(tmp_path / "x.avi")[1]


def test_a_matroska_of_unknown_size_is_cut_where_a_cluster_is(tmp_path: Path) -> None:
    content = piped(tmp_path / "x.mkv", "matroska", cluster_time_limit="500")
    assert not decoded(tmp_path / "x.mkv")[1]
    for place in (len(content) // 4, len(content) // 2, len(content) - 20):
        (tmp_path / "x.mkv").write_bytes(content[:place])
        assert "its last cluster ends" in decoded(tmp_path / "x.mkv")[1]


def test_a_wrong_duration_does_not_outweigh_sizes_that_are_met(films: Callable[[str], Path], tmp_path: Path) -> None:
    content = bytearray(films("mkv").read_bytes())
    place = content.index(b"\x44\x89\x88") + 3
    (milliseconds,) = struct.unpack(">d", content[place : place + 8])
    content[place : place + 8] = struct.pack(">d", 2 * milliseconds)
    (tmp_path / "x.mkv").write_bytes(content)
    blocks, fault = decoded(tmp_path / "x.mkv")
    assert not fault
    assert len(pictures_of(blocks)) == FRAMES


@pytest.mark.parametrize("left", [4, 7])
def test_the_header_of_a_fragment_is_cut(films: Callable[[str], Path], tmp_path: Path, left: int) -> None:
    content = films("fragmented mp4").read_bytes()
    for kind in (b"moof", b"mdat"):
        (tmp_path / "x.mp4").write_bytes(content[: content.rindex(kind) - 4 + left])
        assert "cut off" in decoded(tmp_path / "x.mp4")[1], kind


def test_frames_of_an_index_lie_beyond_the_file(films: Callable[[str], Path], tmp_path: Path) -> None:
    """With its box of frames said to go to the end, the index alone tells."""
    content = bytearray(films("mp4, index first").read_bytes())
    place = content.rindex(b"mdat") - 4
    content[place : place + 4] = bytes(4)
    (tmp_path / "x.mp4").write_bytes(content)
    assert not decoded(tmp_path / "x.mp4")[1]
    (tmp_path / "x.mp4").write_bytes(content[: last_packet(tmp_path / "x.mp4")])
    assert "its last frame ends" in decoded(tmp_path / "x.mp4")[1]


def test_a_capture_of_a_stream_may_begin_within_a_packet(films: Callable[[str], Path], tmp_path: Path) -> None:
    content = films("ts").read_bytes()
    for begin, end, whole in ((100, None, True), (100, -30, False), (0, None, True)):
        (tmp_path / "x.ts").write_bytes(content[begin:end])
        assert (not decoded(tmp_path / "x.ts")[1]) == whole, (begin, end)
    middle = len(content) // 188 // 2 * 188
    (tmp_path / "x.ts").write_bytes(content[:middle] + content[middle + 50 :])
    assert "last packet has" not in decoded(tmp_path / "x.ts")[1]


@pytest.mark.parametrize("behind", [b"\0" * 512, b"\n", b"\r\n"])
def test_what_follows_the_trailer_of_a_gif_does_no_harm(
    films: Callable[[str], Path], tmp_path: Path, behind: bytes
) -> None:
    (tmp_path / "x.gif").write_bytes(films("gif").read_bytes() + behind)
    assert not decoded(tmp_path / "x.gif")[1]


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
