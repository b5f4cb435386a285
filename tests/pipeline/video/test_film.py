"""A film that is decoded once gives every clip of it the frames that decoding the clip alone gives."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import InputError, UnusableVideo
from pipeline.video import film as films
from pipeline.video.decode import Block, decode
from pipeline.video.duration import duration_s
from pipeline.video.film import Film, Films
from pipeline.video.stills import stills
from tests.support.films import FPS, decoded, encode, number_of, numbered, pictures_of

COUNT = 60
SPANS = [(0.0, 0.8), (0.4, 1.2), (0.4, 0.6), (1.0, 1.04), (1.6, 2.4), (2.0, 9.0)]
IRREGULAR = [number + 7 * (number > 20) + 30 * (number > 45) for number in range(COUNT)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("film") / "film.mp4", numbered(COUNT))


@pytest.fixture(scope="module")
def irregular(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("film") / "irregular.mkv", numbered(COUNT), times=IRREGULAR)


def told(blocks: list[Block]) -> list[object]:
    return [(block.times.tolist(), block.start, block.end, block.fps, block.notes) for block in blocks]


@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.parametrize("name", ["path", "irregular"])
def test_spans_of_a_film_are_those_of_the_file(name: str, colour: str, request: pytest.FixtureRequest) -> None:
    file = request.getfixturevalue(name)
    film = Film(file)
    for span in [*SPANS, SPANS[1], SPANS[0]]:  # the last two begin earlier: it is decoded anew
        alone, fault = decoded(file, colour=colour, span_s=span)
        within, other = decoded(file, colour=colour, span_s=span, film=film)
        assert told(alone) == told(within)
        assert fault == other
        assert np.array_equal(pictures_of(alone), pictures_of(within))


def test_a_span_holds_the_frames_that_begin_in_it(irregular: Path) -> None:
    for start, end in SPANS:
        blocks, _ = decoded(irregular, span_s=(start, end))
        expected = [number for number, time in enumerate(IRREGULAR) if start <= time / FPS < end]
        assert [number_of(picture) for picture in pictures_of(blocks)] == expected


def test_frames_are_decoded_once_and_no_more_are_kept_than_a_span_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    presented, passed = films.presented, []

    def counted(file: Path, fps: float | None) -> Iterator[object]:
        for shown in presented(file, fps):
            passed.append(shown.number)
            yield shown

    monkeypatch.setattr(films, "presented", counted)
    film = Film(path)
    for start in np.arange(0, 1.6, 0.2):
        list(decode(path, span_s=(start, start + 0.8), film=film))
        assert len(film._kept) <= 0.8 * FPS + 2  # one of them after it
    assert passed == sorted(set(passed))


def test_a_span_beyond_the_end_is_the_videos_fault(path: Path) -> None:
    for film in (None, Film(path)):
        with pytest.raises(UnusableVideo, match="no frame in it begins between 5 and 6 s"):
            list(decode(path, span_s=(5.0, 6.0), film=film))
    with pytest.raises(InputError, match="0 <= first < end"):
        list(decode(path, span_s=(2.0, 2.0)))


def test_where_decoding_fails_each_later_span_says_so(tmp_path: Path) -> None:
    """Lossless frames of one size each: the forty-first packet is overwritten."""
    whole = encode(tmp_path / "whole.mkv", numbered(COUNT), "ffv1", pixels="yuv420p")
    content = bytearray(whole.read_bytes())
    content[len(content) * 2 // 3 : len(content) * 2 // 3 + 4000] = bytes(4000)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content)
    film, faults = Film(broken), []
    for span in SPANS:
        (alone, fault), (within, other) = decoded(broken, span_s=span), decoded(broken, span_s=span, film=film)
        assert told(alone) == told(within)
        assert fault == other
        faults.append(fault)
    assert not faults[0]
    assert faults[-1]


def test_what_the_disk_does_stays_an_error_of_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: Path, fps: float | None) -> Iterator[object]:
        raise OSError(5, "Input/output error")
        yield

    monkeypatch.setattr(films, "presented", fails)
    film = Film(path)
    for _ in range(2):  # and the file does not seem to have ended the second time
        with pytest.raises(OSError, match="Input/output error"):
            list(decode(path, span_s=(0.0, 1.0), film=film))


def test_one_film_is_held_at_a_time(path: Path, irregular: Path) -> None:
    held = Films()
    first = held.of(path)
    assert held.of(path) is first
    assert held.of(irregular) is not first
    assert held.of(path) is not first


def test_the_length_is_known_without_decoding(path: Path, irregular: Path, tmp_path: Path) -> None:
    assert duration_s(path) == pytest.approx(COUNT / FPS, abs=1e-3)
    assert duration_s(irregular) == pytest.approx((IRREGULAR[-1] + 1) / FPS, abs=2e-3)
    bare = encode(tmp_path / "bare.h264", numbered(COUNT), container="h264")
    assert duration_s(bare) == pytest.approx(decoded(bare)[0][-1].end, abs=1e-3)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UnusableVideo):
        duration_s(tmp_path / "text.mp4")


def test_the_length_goes_on_where_the_clock_begins_anew(tmp_path: Path) -> None:
    part = encode(tmp_path / "part.ts", numbered(COUNT), container="mpegts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    blocks, _ = decoded(joined)
    assert blocks[-1].notes["clock_restarts"] == 1
    assert duration_s(joined) == pytest.approx(blocks[-1].end, abs=0.1)
    assert duration_s(joined) > 1.5 * duration_s(part)


def test_texts_in_a_file_may_be_of_any_bytes(tmp_path: Path) -> None:
    path = encode(tmp_path / "titled.mp4", numbered(10), options={"movflags": "use_metadata_tags"})
    with av.open(str(path)) as read, av.open(str(tmp_path / "latin.mp4"), "w") as written:
        written.metadata["title"] = "caXXXXX"
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    content = (tmp_path / "latin.mp4").read_bytes()
    assert b"caXXXXX" in content
    (tmp_path / "latin.mp4").write_bytes(content.replace(b"caXXXXX", b"caf\xe9XXX"))
    assert duration_s(tmp_path / "latin.mp4") == pytest.approx(10 / FPS, abs=1e-3)
    assert len(list(stills(tmp_path / "latin.mp4", [0.0, 0.2]))) == 2


def test_pictures_at_some_times(path: Path, tmp_path: Path) -> None:
    found = [number_of(picture) for picture in stills(path, [0.0, 0.9, 1.7, 0.9])]
    assert found == [0, 22, 42, 22]
    (tmp_path / "text.mp4").write_text("no video")
    assert list(stills(tmp_path / "text.mp4", [0.0])) == []
