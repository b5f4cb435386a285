"""Encode frames to video files."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path
from pipeline.files.deferred_errors import DeferredErrors
from pipeline.video.decode import Image

_SMPTE170M = 6
_TICKS_A_SECOND = 90_000
# x264's macroblock tree comes out otherwise from run to run, whatever the number of threads
_DETERMINISTIC = {"preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}


def write(path: Path, frames: Iterable[Image], fps: float | Fraction, *, crf: float = 18) -> None:
    """Encode RGB frames as H.264 4:2:0 in an MP4 file, atomically.

    Encoding takes one thread and nothing random: the same frames give the same bytes with the same x264.

    Parameters
    ----------
    path
        The file to write.
    frames : iterable of uint8 arrays, shape (height, width, 3)
        RGB frames of one size, height and width even.
    fps
        Frame rate.
    crf
        x264's constant rate factor, 0-51; lower is better.

    Raises
    ------
    InputError
        Where there is no frame, or one has another size or type.
    OSError
        Where the file cannot be written.
    """
    rate = Fraction(fps).limit_denominator(1001)
    _encode(path, enumerate(frames), rate, 1 / rate, crf)


def write_at_times(path: Path, frames: Iterable[tuple[float, Image]], fps: float, *, crf: float = 20) -> None:
    """Encode RGB frames, each with the time in seconds at which it is shown, as ``write`` does.

    Parameters
    ----------
    path, crf
        As for ``write``.
    frames : iterable of (float, uint8 array of shape (height, width, 3))
        Times, rising, and frames.
    fps
        Mean frame rate, which the file's header has.
    """
    timed = ((round(time * _TICKS_A_SECOND), frame) for time, frame in frames)
    _encode(path, timed, Fraction(fps).limit_denominator(1001), Fraction(1, _TICKS_A_SECOND), crf)


def _encode(path: Path, frames: Iterable[tuple[int, Image]], rate: Fraction, time_base: Fraction, crf: float) -> None:
    """Encode frames with their times in units of ``time_base`` seconds."""
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path}: no frames to write; at least one is needed")
    shape = (first[1].shape[0] // 2 * 2, first[1].shape[1] // 2 * 2, 3)
    reformatter = VideoReformatter()
    # "bitexact" keeps libav's version out of the file
    options = {"fflags": "+bitexact"}
    with (
        atomic_path(path) as temporary,
        DeferredErrors(temporary) as taking,
        av.open(taking, "w", format="mp4", options=options) as container,
    ):
        stream = container.add_stream("libx264", rate, options={"crf": str(crf), **_DETERMINISTIC})
        stream.height, stream.width, stream.pix_fmt = *shape[:2], "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = _SMPTE170M, ColorRange.MPEG
        stream.codec_context.time_base = time_base
        for number, (time, picture) in enumerate(chain([first], pictures)):
            if picture.shape != shape or picture.dtype != np.uint8:
                raise InputError(f"{path}: frame {number} is {picture.dtype} {picture.shape}; uint8 {shape} is needed")
            frame = reformatter.reformat(
                av.VideoFrame.from_ndarray(picture, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
                threads=1,
            )
            frame.pts, frame.time_base = time, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
