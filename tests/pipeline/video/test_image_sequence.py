"""Clips that are folders of pictures: the frames of a video without loss, and all that pictures may be."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import decode, read
from pipeline.video.duration import duration_s
from pipeline.video.film import Film
from pipeline.video.image_sequence import read_grey
from pipeline.video.stills import stills
from tests.support import picture_folders
from tests.support.contracts import VIDEO
from tests.support.films import corners, decoded, number_of, numbered, pictures_of
from tests.support.picture_folders import FPS, save

COUNT = 12
JPEG_LEVELS = 2.0
"""Mean error of JPEG at quality 95 with chroma of half the resolution, decoding included: 1.3 measured."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_folders.frames(tmp_path_factory.mktemp("clip"), numbered(COUNT), "img_%05d.png")


@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_frames_kept_as_png_are_those_of_the_video_to_the_last_bit(colour: str, tmp_path: Path) -> None:
    video = read(VIDEO)
    folder = picture_folders.frames(tmp_path / "clip", video.frames, "img_%05d.png")
    pictures, video = read(folder, colour=colour, fps=video.fps), read(VIDEO, colour=colour)  # type: ignore[arg-type]
    assert np.array_equal(pictures.frames, video.frames)
    assert np.array_equal(pictures.times, video.times)
    assert (pictures.end, pictures.fps, dict(pictures.notes)) == (video.end, video.fps, {})


def test_frames_kept_as_jpeg_are_those_of_the_video_but_for_its_loss(tmp_path: Path) -> None:
    video = read(VIDEO)
    pictures = read(picture_folders.frames(tmp_path / "clip", video.frames), fps=video.fps)
    lost = np.abs(pictures.frames.astype(int) - video.frames)
    assert 0.1 < lost.mean() < JPEG_LEVELS


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".webp"])
def test_formats_without_loss(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 30, 40, 3), np.uint8)
    assert np.array_equal(read(picture_folders.frames(tmp_path, noise, f"%d{ending}"), fps=FPS).frames, noise)


@pytest.mark.parametrize("span", [(0, 5), (3, 9), (11, 12)])
def test_ranges_of_frames_and_of_seconds(folder: Path, span: tuple[int, int]) -> None:
    seconds = (span[0] / FPS, span[1] / FPS)
    film = Film(folder, FPS)
    for options in ({"frames": span}, {"span_s": seconds}, {"span_s": seconds, "film": film}):
        blocks, fault = decoded(folder, fps=FPS, block_frames=4, **options)
        assert not fault
        assert [number_of(picture) for picture in pictures_of(blocks)] == list(range(*span))
        assert np.allclose(np.concatenate([block.times for block in blocks]), np.arange(*span) / FPS)
        assert blocks[-1].end == pytest.approx(span[1] / FPS)
        assert max(len(block.frames) for block in blocks) <= 4


def test_ranges_beyond_the_end_are_the_clips_fault(folder: Path) -> None:
    with pytest.raises(UnusableVideo, match="there are 12 frames, and the range 5-13 ends beyond them"):
        list(decode(folder, frames=(5, 13), fps=FPS))
    with pytest.raises(UnusableVideo, match="no frame in it begins between 1 and 2 s"):
        list(decode(folder, span_s=(1.0, 2.0), fps=FPS))


@pytest.mark.parametrize("fps", [5, 12.5, 29.97])
def test_times_follow_the_rate(folder: Path, fps: float) -> None:
    block = read(folder, fps=fps)
    assert np.allclose(block.times, np.arange(COUNT) / fps)
    assert block.end == pytest.approx(COUNT / fps)
    assert block.end == pytest.approx(duration_s(folder, fps))
    assert block.fps == fps


def test_a_rate_is_needed(folder: Path) -> None:
    with pytest.raises(InputError, match="pictures do not say how many of them are shown in a second; fps is needed"):
        read(folder)


@pytest.mark.parametrize("fps", [-25, 0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float, folder: Path) -> None:
    for use in (lambda: read(folder, fps=fps), lambda: list(stills(folder, [0.0], fps))):
        with pytest.raises(InputError, match=rf"fps = {fps}; the number of pictures shown in a second is needed"):
            use()


def test_each_frame_is_shown_from_its_time_on(tmp_path: Path) -> None:
    """0.29 · 100 is below 29 in floating point."""
    picture_folders.frames(tmp_path, numbered(60, 32, 24), "%d.png")
    for fps in (100, 29.97, 3):
        times = [number / fps for number in range(60)]
        assert [number_of(picture) for picture in stills(tmp_path, times, fps)] == list(range(60))
        assert [number_of(picture) for picture in stills(tmp_path, [time + 0.9 / fps for time in times], fps)] == list(
            range(60)
        )
    assert [number_of(picture) for picture in stills(tmp_path, [0.29], 100)] == [29]


def test_stills_are_the_pictures_shown_then(folder: Path) -> None:
    assert [number_of(picture) for picture in stills(folder, [0.0, 0.3, 0.05, 9.0], FPS)] == [0, 7, 1]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def decoded_alone(folder: Path, content: bytes, name: str = "img_1.jpg") -> np.ndarray:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return read(folder, fps=FPS).frames[0]


SMOOTH = Image.fromarray(cv2.GaussianBlur(numbered(6)[5], (0, 0), 2))


@pytest.mark.parametrize(
    ("content", "levels"),
    [
        (encoded(SMOOTH.convert("L"), "PNG"), 0),
        (encoded(SMOOTH.convert("L"), "JPEG", quality=95), 1),
        (encoded(SMOOTH.convert("LA"), "PNG"), 0),
        (encoded(SMOOTH.convert("RGBA"), "PNG"), 0),
        (encoded(SMOOTH.quantize(200), "PNG"), 0),
        (encoded(SMOOTH.convert("1"), "PNG"), 0),
        (encoded(SMOOTH.convert("CMYK"), "JPEG", quality=95), 4),
        (encoded(SMOOTH, "JPEG", quality=95, subsampling=0, progressive=True), 3),
    ],
    ids=["grey", "grey jpeg", "grey and alpha", "alpha", "palette", "one bit", "cmyk", "progressive"],
)
def test_pictures_of_other_pixels_are_as_pillow_has_them(content: bytes, levels: int, tmp_path: Path) -> None:
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    found = decoded_alone(tmp_path / "clip", content)
    assert np.abs(found.astype(int) - expected).max() <= levels


@pytest.mark.parametrize("depth", [1, 3])
def test_sixteen_bits_become_eight(depth: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), np.uint16)
    deep = deep if depth == 3 else deep[..., :1].repeat(3, -1)
    _, content = cv2.imencode(".png", deep[..., ::-1] if depth == 3 else deep[..., 0])
    found = decoded_alone(tmp_path / "clip", content.tobytes())
    assert np.abs(found - np.rint(deep / 257)).max() <= 1


def test_the_orientation_in_exif_is_applied_and_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture's top is at the right: it is turned clockwise to be shown
    (tmp_path / "img_1.jpg").write_bytes(encoded(Image.fromarray(numbered(1)[0]), "JPEG", exif=exif, quality=95))
    block = read(tmp_path, fps=FPS)
    assert block.frames.shape == (1, 160, 120, 3)
    assert corners(block.frames[0]) == ["blue", "red", "yellow", "green"]
    assert block.notes == {"orientation": "turned clockwise by 90 degrees"}


def test_pictures_of_another_size_are_brought_to_the_firsts_and_counted(tmp_path: Path) -> None:
    picture_folders.frames(tmp_path, [*numbered(2), numbered(3, 80, 60)[2]], "%d.png")
    block = read(tmp_path, fps=FPS)
    assert block.frames.shape == (3, 120, 160, 3)
    assert number_of(block.frames[2]) == 2
    assert block.notes == {"resized_frames": 1}


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_picture_that_is_cut_off_ends_the_clip(ending: str, share: float, tmp_path: Path) -> None:
    picture_folders.frames(tmp_path, np.random.default_rng(0).integers(0, 256, (4, 40, 60, 3), np.uint8), f"%d{ending}")
    third = tmp_path / f"3{ending}"
    third.write_bytes(third.read_bytes()[: int(share * third.stat().st_size)])
    blocks, fault = decoded(tmp_path, fps=FPS)
    assert len(pictures_of(blocks)) == 2
    assert fault.startswith(f"{tmp_path.name}: 3{ending} ")
    assert "does not decode" in fault or "is cut off: its image does not end" in fault


@pytest.mark.parametrize("quality", [{"progressive": True}, {}])
def test_no_jpeg_that_lacks_its_end_is_taken(quality: dict[str, bool], tmp_path: Path) -> None:
    """Most decoders fill what is missing in grey, or show a coarser picture, without a word."""
    whole = encoded(SMOOTH, "JPEG", quality=90, **quality)
    assert decoded_alone(tmp_path, whole + bytes(20)) is not None  # what follows the end does no harm
    for size in range(400, len(whole) - 1, 137):
        with pytest.raises(UnusableVideo):
            decoded_alone(tmp_path, whole[:size])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "img_1.jpg is an empty file"),
        (b"no picture at all", "img_1.jpg is no picture of a kind that is known"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "img_1.jpg does not decode"),
        (b"\xff\xd8\xff\xd9", "img_1.jpg does not decode"),
    ],
)
def test_what_is_no_picture(content: bytes, fault: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableVideo, match=fault):
        decoded_alone(tmp_path, content)


def test_a_picture_is_known_by_its_content(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert np.array_equal(decoded_alone(tmp_path, encoded(Image.fromarray(noise), "PNG"), "1.jpg"), noise)


def test_grey_pictures_whose_values_count(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 30, 40), np.uint8)
    paths = [save(tmp_path / "0.png", values[0]), save(tmp_path / "1.png", values[1][..., None].repeat(3, -1))]
    assert np.array_equal(list(read_grey(paths)), values)


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (
            np.zeros((10, 12, 3), np.uint8) + np.array([0, 20, 0], np.uint8),
            "1.png has colours; a grey picture of 8 bits",
        ),
        (np.zeros((10, 12), np.uint16), "1.png has more than 8 bits"),
        (np.zeros((12, 10), np.uint8), "1.png has another size than 0.png"),
    ],
)
def test_grey_pictures_that_cannot_count(image: np.ndarray, fault: str, tmp_path: Path) -> None:
    first = save(tmp_path / "0.png", np.zeros((10, 12), np.uint8))
    with pytest.raises(UnusableVideo, match=fault):
        list(read_grey([first, save(tmp_path / "1.png", image)]))
