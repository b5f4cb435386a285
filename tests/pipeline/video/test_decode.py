"""Decoding: colours by the standard, every frame with its time, and no file that ends it."""

import errno
import gc
import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from pipeline.errors import InputError, UnusableVideo
from pipeline.video.decode import Block, decode, read
from pipeline.video.encode import write
from pipeline.video.picture import Pictures
from tests.support.footage import gradient

MATRICES = {
    "bt709": (1, 0.2126, 0.0722),
    "unspecified": (2, 0.299, 0.114),
    "bt601": (6, 0.299, 0.114),
    "bt2020": (9, 0.2627, 0.0593),
}


def encode(path: Path, pictures: list[np.ndarray], pixels: str, codec: str = "ffv1", **context: object) -> Path:
    """Write pictures of the given pixel format with PyAV alone, at 25 frames a second."""
    with av.open(path, "w") as container:
        options = {"qp": "0"} if codec == "libx264" else {}
        stream = container.add_stream(codec, 25, options=options)
        template = av.VideoFrame.from_ndarray(pictures[0], format=pixels)
        stream.width, stream.height, stream.pix_fmt = template.width, template.height, pixels
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format=pixels)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            frame.colorspace = context.get("colorspace", 2)
            frame.color_range = context.get("color_range", 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def i420(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    return np.concatenate([luma.ravel(), blue.ravel(), red.ravel()]).reshape(-1, luma.shape[1])


def exact_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray, kr: float, kb: float, full: bool) -> np.ndarray:
    """ITU-T H.273, from Y' and the colour differences' definition, in floating point."""
    height, width = luma.shape
    y = luma / 255.0 if full else (luma - 16.0) / 219
    cb, cr = ((np.kron(c, np.ones((2, 2)))[:height, :width] - 128) / (255 if full else 224) for c in (blue, red))
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(255 * np.stack([r, g, b], -1), 0, 255)


def blocks_and_fault(path: Path, **options: object) -> tuple[list[Block], UnusableVideo | None]:
    blocks: list[Block] = []
    try:
        for block in decode(path, **options):
            blocks.append(block)
    except UnusableVideo as fault:
        return blocks, fault
    return blocks, None


# --- colour


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (2, 2)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_420_is_within_three_levels_of_the_standard(
    tmp_path: Path, matrix: str, full: bool, size: tuple[int, int]
) -> None:
    """All of luma with three chroma pairs. A matrix or a range mistaken for another is at least 6 levels off."""
    code, kr, kb = MATRICES[matrix]
    height, width = size
    luma = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    for index, values in enumerate(((128, 128), (90, 170), (180, 100))):
        blue, red = (np.full(((height + 1) // 2, (width + 1) // 2), value, np.uint8) for value in values)
        path = tmp_path / f"{index}.mkv"
        _write_planes(path, (luma, blue, red), colorspace=code, color_range=2 if full else 1)
        assert abs(read(path).frames[0] - exact_rgb(luma, blue, red, kr, kb, full)).max() < 3.5


def _write_planes(path: Path, planes: tuple[np.ndarray, ...], **context: int) -> None:
    """One lossless 4:2:0 frame, of any size."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = values
        plane.update(padded)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("pixels", "full"), [("yuv420p", 1), ("yuvj420p", 2)])
def test_h264_420_agrees_with_swscale(tmp_path: Path, matrix: str, pixels: str, full: int) -> None:
    """Within three levels of swscale at its most accurate, told matrix and range by name; BT.709 included."""
    luma = np.random.default_rng(1).integers(16, 236, (48, 64), np.uint8)
    pictures = [i420(luma, np.full((24, 32), blue), np.full((24, 32), red)) for blue, red in ((90, 170), (160, 100))]
    pictures = [picture.astype(np.uint8) for picture in pictures]
    code = MATRICES[matrix][0]
    path = encode(tmp_path / "x.mp4", pictures, pixels, "libx264", colorspace=code, color_range=full)
    flags = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    named = {"bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}.get(matrix, Colorspace.ITU601)
    with av.open(path) as container:
        decoded = list(container.decode(video=0))
        assert (decoded[0].format.name, decoded[0].colorspace) == (pixels, code)
        peer = [
            VideoReformatter().reformat(f, None, None, "rgb24", named, None, flags, full, 2).to_ndarray()
            for f in decoded
        ]
    assert abs(read(path).frames.astype(int) - np.stack(peer)).max() <= 3


@pytest.mark.parametrize(
    ("pixels", "codec", "tolerance"),
    [
        ("rgb24", "png", 0),
        ("bgr0", "ffv1", 0),
        ("gray", "ffv1", 0),
        ("yuv444p", "ffv1", 3),
        ("yuv420p10le", "ffv1", 3),
    ],
)
def test_other_pixel_formats(tmp_path: Path, pixels: str, codec: str, tolerance: int) -> None:
    """A picture that swscale brings there comes back within what the format can hold."""
    picture = gradient(1)[0] if pixels != "gray" else gradient(1)[0][..., :1].repeat(3, -1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
    path = tmp_path / ("x.mov" if codec == "png" else "x.mkv")
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, 25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert abs(read(path).frames[0].astype(int) - picture).max() <= tolerance


def test_grey_is_the_grey_of_the_rgb_frame(shared: Path) -> None:
    for name in ("long-test.mp4", "rotated-90.mov", "odd-size-444.mp4"):
        rgb, grey = (read(shared / "clips" / name, colour=colour).frames for colour in ("rgb", "grey"))
        assert all((cv2.cvtColor(a, cv2.COLOR_RGB2GRAY) == b).all() for a, b in zip(rgb, grey, strict=True))


def test_grey_of_a_limited_range_grey_video_is_its_luma_stretched(tmp_path: Path) -> None:
    luma = np.random.default_rng(2).integers(16, 236, (48, 64), np.uint8)
    path = encode(tmp_path / "x.mkv", [i420(luma, *np.full((2, 24, 32), 128, np.uint8))], "yuv420p")
    assert abs(read(path, colour="grey").frames[0] - (luma - 16.0) * 255 / 219).max() < 1.5


# --- real files


@pytest.mark.parametrize(
    ("start", "frames", "size"),
    [
        ("Golf", 89, (240, 320)),
        ("KOREAN", 430, (240, 320)),
        ("av1", 125, (360, 640)),
        ("h265", 10, (128, 128)),
        ("long-test", 300, (256, 455)),  # 340 samples of 4:3
        ("no-first-keyframe", 25, (64, 64)),
        ("non-zero-start", 12, (112, 200)),
        ("odd-size-444", 25, (241, 321)),
        ("rotated-90", 3, (568, 320)),
        ("v_ApplyEyeMakeup", 164, (240, 320)),
    ],
)
def test_every_frame_of_the_hard_cases(shared: Path, start: str, frames: int, size: tuple[int, int]) -> None:
    (path,) = (shared / "clips").glob(f"{start}*")
    blocks, fault = blocks_and_fault(path)
    if start == "av1" and fault and "no decoder" in str(fault):
        pytest.skip("this libav has no AV1 decoder")
    assert fault is None
    assert sum(len(block.frames) for block in blocks) == frames
    assert {block.frames.shape[1:] for block in blocks} == {(*size, 3)}
    assert (np.diff(np.concatenate([block.times for block in blocks])) > 0).all()


def test_frames_and_orientation_are_those_of_opencv(shared: Path) -> None:
    """Rounding may differ with the version of swscale; a frame off or a turn would be far more."""
    for name in ("rotated-90.mov", "h265.mp4", "long-test.mp4", "non-zero-start.mp4"):
        capture = cv2.VideoCapture(str(shared / "clips" / name))
        for ours in itertools.islice(read(shared / "clips" / name).frames, 40):
            peer = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
            if name == "long-test.mp4":  # OpenCV takes samples as square
                peer = np.asarray(cv2.resize(peer, ours.shape[1::-1]))
            assert np.abs(ours.astype(int) - peer).mean() < 0.5
        assert name != "rotated-90.mov" or not capture.read()[0]


def test_what_fails_after_28_frames_delivers_28(shared: Path) -> None:
    blocks, fault = blocks_and_fault(shared / "clips" / "corrupted.mp4", block_frames=10)
    assert [len(block.frames) for block in blocks] == [10, 10, 8]
    assert fault is not None
    assert fault.frames_decoded == 28
    assert "after 28 frames" in fault.reason
    assert len(read(shared / "clips" / "corrupted.mp4", frames=(3, 28)).frames) == 25


@pytest.mark.parametrize(
    "name",
    [
        *("cases/cut_frag.mp4", "cases/half.avi", "cases/hdr10.mp4", "cases/hflip.mp4", "cases/sar.mp4"),
        *(
            "cases/sizechange.ts",
            "cases/vfr.mp4",
            "clips/corrupted.mp4",
            "clips/h265.mp4",
            "clips/no-first-keyframe.mp4",
        ),
        *("clips/odd-size-444.mp4", "clips/rotated-90.mov", "clips/v_ApplyEyeMakeup_g01_c01.avi"),
    ],
)
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_deferred_pictures_are_the_same_and_so_is_what_is_said(shared: Path, name: str, colour: str) -> None:
    at_once, fault = blocks_and_fault(shared / name, colour=colour)
    deferred, other = blocks_and_fault(shared / name, colour=colour, deferred=True)
    assert str(fault) == str(other)
    assert getattr(fault, "frames_decoded", None) == getattr(other, "frames_decoded", None)
    for block, later in zip(at_once, deferred, strict=True):
        assert (later.start, later.end, later.fps, later.notes) == (block.start, block.end, block.fps, block.notes)
        assert (later.times == block.times).all()
        assert len(later.frames) == len(block.frames)
    for block, later in zip(at_once[::-1], deferred[::-1], strict=True):  # in whatever order they are asked for
        assert all(
            (np.asarray(frame) == picture).all() for frame, picture in zip(later.frames, block.frames, strict=True)
        )


def test_deferred_frames_are_converted_when_asked_for(ramp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert, converted = Pictures.picture, []
    monkeypatch.setattr(Pictures, "picture", lambda *given: converted.append(given) or convert(*given))
    blocks = list(decode(ramp, deferred=True))
    assert len(converted) == 1  # the first, which shows that the others can be
    assert (np.asarray(blocks[1].frames[3]) == np.asarray(blocks[1].frames[3])).all()
    assert len(converted) == 3


def test_presentation_times_and_rate(shared: Path) -> None:
    clip = read(shared / "clips" / "non-zero-start.mp4")
    assert clip.fps == 30
    np.testing.assert_allclose(clip.times, np.arange(12) / 30, atol=1e-4)  # the file's own begin at 8.3 s
    assert clip.end == pytest.approx(12 / 30, abs=1e-4)


# --- blocks and ranges


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 frames at 25 a second, each brighter than the one before."""
    path = tmp_path_factory.mktemp("video") / "ramp.mp4"
    write(path, gradient(23), 25, crf=10)
    return path


@pytest.mark.parametrize("block_frames", [1, 7, 23, 24, 100])
def test_blocks_do_not_change_the_frames(ramp: Path, block_frames: int) -> None:
    whole = read(ramp)
    blocks = list(decode(ramp, block_frames=block_frames))
    assert [block.start for block in blocks] == list(range(0, 23, block_frames))
    assert (np.concatenate([block.frames for block in blocks]) == whole.frames).all()
    assert (np.concatenate([block.times for block in blocks]) == whole.times).all()
    assert max(len(block.frames) for block in blocks) == min(block_frames, 23)


def test_blocks_are_the_callers_own(ramp: Path) -> None:
    kept = [(block.frames, block.frames.copy()) for block in decode(ramp, block_frames=4)]
    assert all((now == then).all() for now, then in kept)


def test_frames_are_freed_as_soon_as_they_are_converted(ramp: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in decode(ramp, block_frames=1):
            held = sum(type(each) is av.VideoFrame for each in gc.get_objects())
            assert held < 8  # a large frame has megabytes, and a collection may be hundreds of frames away
    finally:
        gc.enable()


def test_blocks_of_large_frames_are_bounded_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    write(path, [np.zeros((2160, 3840, 3), np.uint8)] * 4, 25)
    assert [len(block.frames) for block in decode(path)] == [2, 2]


@pytest.mark.parametrize("span", [(0, 23), (0, 1), (22, 23), (5, 19)])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_a_range_is_a_slice(ramp: Path, span: tuple[int, int], colour: str) -> None:
    whole, part = read(ramp, colour=colour), read(ramp, colour=colour, frames=span)
    assert (part.frames == whole.frames[slice(*span)]).all()
    assert (part.times == whole.times[slice(*span)]).all()
    assert part.start == 0


@pytest.mark.parametrize(("span", "delivered"), [((5, 24), 18), ((23, 24), 0), ((90, 99), 0)])
def test_a_range_beyond_the_end_says_how_many_there_are(ramp: Path, span: tuple[int, int], delivered: int) -> None:
    blocks, fault = blocks_and_fault(ramp, frames=span)
    assert sum(len(block.frames) for block in blocks) == delivered
    assert fault is not None
    assert fault.frames_decoded == delivered
    assert "there are 23 frames" in fault.reason


@pytest.mark.parametrize("options", [{"frames": (3, 3)}, {"frames": (-1, 3)}, {"block_frames": 0}])
def test_impossible_ranges(ramp: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="are needed"):
        next(decode(ramp, **options))


def test_times_that_run_backwards_or_are_missing_are_mended(shared: Path, tmp_path: Path) -> None:
    (path,) = (shared / "clips").glob("v_ApplyEyeMakeup*")
    times = read(path).times
    assert (read(path, frames=(50, 70)).times == times[50:70]).all()
    assert abs(times - (times[0] + np.arange(164) / 25)).max() < 0.1
    raw = encode(tmp_path / "raw.h264", [i420(*_grey_planes(20 * t)) for t in range(5)], "yuv420p", "libx264")
    clip = read(raw)
    np.testing.assert_allclose(np.diff(clip.times), 1 / clip.fps, atol=1e-6)


def _grey_planes(level: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full((48, 64), level, np.uint8), *np.full((2, 24, 32), 128, np.uint8)


# --- what is the video's fault, and what is not


def _no_video_stream(path: Path) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", 8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode(None)])


def _no_decoder(path: Path) -> None:
    encode(path.with_suffix(".mkv"), [np.zeros((96, 64), np.uint8)], "yuv420p", "libx264")
    path.write_bytes(path.with_suffix(".mkv").read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("not a video\n" * 99), "Invalid data"),
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.mkdir(), "a folder"),
        (_no_video_stream, "no video stream"),
        (_no_decoder, "no decoder"),
    ],
    ids=["text", "empty", "folder", "audio", "codec"],
)
def test_files_without_a_frame(tmp_path: Path, make, reason: str) -> None:
    path = tmp_path / "x.mp4"
    make(path)
    with pytest.raises(UnusableVideo, match=reason) as caught:
        read(path)
    assert caught.value.frames_decoded == 0


def test_a_file_that_cannot_be_opened_is_not_the_videos_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.mp4")


def test_a_file_that_may_not_be_read_is_not_the_videos_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        read(tmp_path / "closed.mp4")


class _Failing:
    """A file whose disk gives out after some reads."""

    def __init__(self, path: Path, reads: int, error: BaseException) -> None:
        self.file, self.reads, self.error = path.open("rb"), reads, error
        self.seek, self.tell = self.file.seek, self.file.tell

    def read(self, count: int) -> bytes:
        self.reads -= 1
        if self.reads < 0:
            raise self.error
        return self.file.read(count)

    def __enter__(self) -> "_Failing":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "failing"), MemoryError(), av.error.MemoryError(errno.ENOMEM, "full")]
)
@pytest.mark.parametrize("reads", [0, 1, 12])
def test_a_failing_disk_or_memory_is_not_the_videos_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, reads: int
) -> None:
    monkeypatch.setattr("pipeline.video.presentation._memory_for_libav", lambda: False)
    path = tmp_path / "noise.mp4"
    write(path, np.random.default_rng(0).integers(0, 256, (60, 96, 96, 3), np.uint8), 25)
    file = _Failing(path, reads, error)
    monkeypatch.setattr(Path, "open", lambda *_: file)
    with pytest.raises(type(error)) as caught:
        read(path)
    assert caught.value is error
