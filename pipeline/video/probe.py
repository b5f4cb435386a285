"""Tell whether a file whose name does not say so is a video, by its first bytes."""

from functools import lru_cache
from pathlib import Path

from av.error import FFmpegError

from pipeline.video.stream import films, opened

_NO_VIDEO = ("_pipe", "tty", "jpegxl_anim")
"""Ends of the names of libav's formats that are single pictures, or text drawn as one."""


def holds_video(path: Path) -> bool:
    """Return whether libav takes a file for a video; nothing is decoded.

    Raises
    ------
    OSError
        Where the file cannot be read.
    """
    stat = path.stat()
    return _holds_video(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2**16)
def _holds_video(path: Path, size: int, mtime_ns: int) -> bool:
    try:
        with opened(path) as container:
            pictures = container.format.name.endswith(_NO_VIDEO)
            return not pictures and bool(films(container))
    except FFmpegError:
        return False
