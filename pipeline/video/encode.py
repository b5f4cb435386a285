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
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path}: no frames to write; at least one is needed")
    rate = Fraction(fps).limit_denominator(1001)
    shape = (first.shape[0] // 2 * 2, first.shape[1] // 2 * 2, 3)
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
        for index, picture in enumerate(chain([first], pictures)):
            if picture.shape != shape or picture.dtype != np.uint8:
                raise InputError(f"{path}: frame {index} is {picture.dtype} {picture.shape}; uint8 {shape} is needed")
            frame = reformatter.reformat(
                av.VideoFrame.from_ndarray(picture, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU601,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
                threads=1,
            )
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
