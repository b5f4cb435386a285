"""Kinds of files: which endings are those of videos and skeleton files, and what other files hold."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pipeline.errors import UNREADABLE, InputError
from pipeline.files.numbered_pictures import is_numbered

Modality = Literal["video", "skeleton"]

_CONTAINERS = """
3g2 3gp 3gp2 3gpp amv asf avi dav dif divx dv dvr-ms f4v flv gif gxf ifv ismv ivf ivr kux lvf m2p m2t m2ts m4v mj2 mk3d
mkv mlv mod moflex mods mov mp4 mpe mpeg mpg mpv mts mxf mxg nsv nut nuv ogm ogv psp qt rm rmvb ser swf tod trp ts ty
ty+ usm viv vob webm wmv wtv xmv xvid y4m
"""
_BARE_STREAMS = """
264 265 266 apv avc avs2 avs3 cavs dnxhd dnxhr drc evc h261 h263 h264 h265 h266 h26l hevc ipu m1v m2v mjpeg mjpg mp2v
mpv2 obu rcv vc1 vc2 vvc
"""
_ANIMATIONS = "apng bik bmv cdxl cpk flc fli flm imx mvi pdv roq sga smk yop"
VIDEO_ENDINGS = frozenset(f".{ending}" for ending in f"{_CONTAINERS} {_BARE_STREAMS} {_ANIMATIONS}".split())
"""Endings of the files that libav demuxes as videos, in lower case."""
AMBIGUOUS_ENDINGS = frozenset(("", ".ogg", ".dat", ".avs"))
"""Endings that a video may have, and much else, in lower case."""
SKELETON_ENDINGS = (".txt", ".skeleton")
"""Endings of skeleton files, in lower case: texts of numbers, and those of NTU RGB+D."""
NAMED_SKELETON_ENDINGS = " or ".join(SKELETON_ENDINGS)
"""The same, for messages."""
_SEPARATORS = re.compile(rb"[\s,;]+")
_HEAD_BYTES = 4096


def modality(path: Path) -> Modality | None:
    """Return the kind of a file that a list names, by its ending: None where no such file has it.

    Examples
    --------
    >>> modality(Path("run.AVI")), modality(Path("run")), modality(Path("run.txt")), modality(Path("run.csv"))
    ('video', 'video', 'skeleton', None)
    >>> modality(Path("S001C001P001R001A001.skeleton"))
    'skeleton'
    """
    ending = path.suffix.lower()
    if ending in SKELETON_ENDINGS:
        return "skeleton"
    return "video" if ending in VIDEO_ENDINGS | AMBIGUOUS_ENDINGS else None


def is_ambiguous(path: Path) -> bool:
    """Return whether a file's ending leaves open what it holds."""
    return path.suffix.lower() in AMBIGUOUS_ENDINGS


def holds_video(path: Path) -> bool:
    """Return whether libav takes a file for a video; False for one that cannot be read.

    Raises InputError where the disk fails.
    """
    from pipeline.video import probe

    return _tried(probe.holds_video, path, unreadable=False)


def holds_frames(folder: Path) -> bool:
    """Return whether a folder is a video: numbered pictures lie in it, and no video file.

    False for one that cannot be read.
    """
    found = False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    if os.path.splitext(entry.name)[1].lower() in VIDEO_ENDINGS:
                        return False
                    found = found or is_numbered(entry)
    except OSError:
        return False
    return found


def holds_numbers(path: Path) -> bool:
    """Return whether a text may be a skeleton file: at least half of its first line are numbers, or nothing is in it.

    True for a file that cannot be read. Raises InputError where the disk fails.
    """
    return _tried(_begins_with_numbers, path, unreadable=True)


def _begins_with_numbers(path: Path) -> bool:
    with path.open("rb") as file:
        line = file.read(_HEAD_BYTES).lstrip().partition(b"\n")[0]
    cells = [cell for cell in _SEPARATORS.split(line) if cell]
    return 2 * sum(map(_is_number, cells)) >= len(cells)


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _tried(test: Callable[[Path], bool], path: Path, *, unreadable: bool) -> bool:
    try:
        return test(path)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise InputError(f"{path}: {error.strerror}; a readable file is needed") from None
        return unreadable
