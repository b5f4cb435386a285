"""Takes optical flow that other programs computed, and left as pictures, for a clip that is a folder of pictures.

A pattern names the pictures: a path from the clip's folder, or an absolute one. In it ``{x,y}`` stands for the two
components, by whatever names they have, the one to the right first; ``*`` in the last name for the number; ``{clip}``
for the name of the clip's folder and ``{parent}`` for that of the folder in which it lies.

==================================  ==========================================================
``flow_{x,y}_*.jpg``                denseflow, TSN's tool: flow_x_00001.jpg beside img_00001.jpg
``{x,y}_*.jpg``                     MMAction2's other form
``{x,y}/*.jpg``, ``{u,v}/*.jpg``    a folder for each component
``/flow/{u,v}/{clip}/frame*.jpg``   the flow of UCF-101 and HMDB-51 of Feichtenhofer et al.
``/flow/{parent}/{clip}/…``         a tree of its own, with the folders of the classes
==================================  ==========================================================

The pictures of a component are numbered one by one, from any number on. A clip of N frames has N − 1 of them, the
first between its first two frames, as denseflow writes them; or N: then each is taken as the flow that leads to the
frame of the same place, as TSN's tool writes them (yjxiong/dense_flow, which stores the second frame of each pair), and
the first, which comes from a frame that is not there, is left out. A row then has the attribute ``surplus_flows``, 1.

References
----------
Wang et al., *Temporal Segment Networks* (ECCV 2016).
Feichtenhofer, Pinz and Zisserman, *Convolutional Two-Stream Network Fusion for Video Action Recognition* (CVPR 2016).
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from extractors.base import Clip, Row
from extractors.clock import Clock
from extractors.frames import scaled
from extractors.pictures import Spool
from pipeline.errors import UNREADABLE, UnusableVideo
from pipeline.files.numbered_pictures import checked_rate, frames, series

_COMPONENTS = re.compile(r"\{([^{},/]+),([^{},/]+)\}")
_NAMES = ("{clip}", "{parent}")
_NAMED = re.compile("|".join(map(re.escape, _NAMES)))


def check_pattern(pattern: str) -> None:
    """Raise ValueError where a pattern does not name the pictures of both components.

    Examples
    --------
    >>> check_pattern("flow_x_*.jpg")
    Traceback (most recent call last):
    ValueError: precomputed = 'flow_x_*.jpg': both components must be named once, such as in flow_{x,y}_*.jpg
    """
    needed = ""
    if len(_COMPONENTS.findall(pattern)) != 1:
        needed = "both components must be named once"
    elif pattern.count("*") != 1 or "*" not in Path(pattern).name:
        needed = "one * must stand for the number, in the last name"
    elif any(brace in _plain(pattern) for brace in "{}"):
        needed = f"besides the components only {' and '.join(_NAMES)} may stand in braces"
    if needed:
        raise ValueError(f"precomputed = {pattern!r}: {needed}, such as in flow_{{x,y}}_*.jpg")
    try:
        Path(pattern).expanduser()
    except RuntimeError as error:
        raise ValueError(f"precomputed = {pattern!r}: {error}") from None


def _plain(pattern: str) -> str:
    return _COMPONENTS.sub("", _NAMED.sub("", pattern))


def flow_pictures(pattern: str, clip: Path) -> "list[os.DirEntry[str]]":
    """Return the pictures of the flow of a clip: those of x in the order of their numbers, then as many of y.

    Parameters
    ----------
    pattern
        Their pattern.
    clip
        Folder of the clip.

    Raises
    ------
    UnusableVideo
        Where there is none, a number is missing or occurs twice, x and y are not as many, or the clip is a file.
    OSError
        Where the disk fails.
    """
    if clip.is_file():
        raise UnusableVideo(
            "a video file; precomputed flow belongs to folders of pictures, whose frames can be counted"
        )
    x, y = (
        found
        for folder, places in groupby(_places(pattern, clip), key=itemgetter(0))
        for found in _found(folder, [name for _, name in places])
    )
    if len(x) != len(y):
        raise UnusableVideo(f"{len(x)} pictures of flow in x and {len(y)} in y; as many are needed")
    return [*x, *y]


def _places(pattern: str, clip: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yield the folder of each component, and what stands before and after the number in its names."""
    names = {"{clip}": clip.name, "{parent}": clip.parent.name}

    def filled(part: str) -> str:
        return _NAMED.sub(lambda named: names[named[0]], part)

    for component in (r"\1", r"\2"):
        *folders, name = Path(_COMPONENTS.sub(component, pattern)).expanduser().parts
        before, _, after = name.partition("*")  # there may be another in a clip's name
        yield clip.joinpath(*map(filled, folders)), (filled(before), filled(after))


def _found(folder: Path, names: Sequence[tuple[str, str]]) -> "list[list[os.DirEntry[str]]]":
    try:
        return series(folder, *names)
    except OSError as error:
        if error.errno not in UNREADABLE:
            raise
        named = " and ".join("*".join(name) for name in names)
        raise UnusableVideo(f"{folder}: {error.strerror}; pictures of flow {named} are needed") from None


def taken(
    pattern: str, size_px: tuple[int, int] | None, stride_frames: int, spools: Callable[[], list[Spool]], clip: Clip
) -> Iterator[Row]:
    """Make the row of a clip from pictures of its flow.

    Parameters
    ----------
    pattern, size_px, stride_frames
        As the fields of ``TVL1`` say.
    spools
        Makes what collects the pictures of x and y.
    clip
        A folder of pictures, or a range of its frames.

    Raises
    ------
    UnusableVideo
        Where the clip is a file, or the pictures do not fit it, are of several sizes, or are no quantised flow.
    InputError
        Where the clip has no frame rate, or one that is not finite and positive.
    """
    files = list(map(Path, flow_pictures(pattern, clip.path)))
    fps, first, end, total = _part(clip)
    flows = len(files) // 2
    if flows not in (total - 1, total):
        raise UnusableVideo(
            f"{total} frames and {flows} pictures of flow in each direction; {total - 1} are needed", total
        )
    if end - first < 2:
        raise UnusableVideo("1 frame; optical flow needs 2", end - first)
    surplus = flows - (total - 1)
    starts = np.arange(0, end - first - 1, stride_frames)
    places = starts + first + surplus
    x, y = spools()
    shape = _store(x, [files[place] for place in places], size_px)
    if _store(y, [files[flows + place] for place in places], size_px) != shape:
        raise UnusableVideo("pictures of flow in y are of another size than those in x", total)
    clock = Clock(np.arange(first, end) / fps, np.append(np.arange(first + 1, end) / fps, (end - 1) / fps + 1 / fps))
    attributes: dict[str, float | int | str] = {
        "fps": fps,
        "frames": end - first,
        "start_s": first / fps,
        "end_s": float(clock.ends[-1]),
    }
    attributes |= {"precomputed": 1, **({"surplus_flows": surplus} if surplus else {})}
    arrays = {**x.arrays(), **y.arrays(), "start_frames": starts, **clock.spans(starts, starts + 1)}
    yield Row(arrays, attributes)


def _part(clip: Clip) -> tuple[float, int, int, int]:
    """Return a clip's frame rate, its first frame and end within its folder, and the number of all frames there."""
    fps = checked_rate(clip.path, clip.fps)
    total = len(frames(clip.path))
    first, end = clip.frames or (0, total)
    if clip.span_s is not None:
        times = np.arange(total) / fps
        first, end = np.searchsorted(times, clip.span_s).tolist()  # frames that begin in it
        if first == end:
            since, until = clip.span_s
            raise UnusableVideo(f"no frame in it begins between {since:g} and {until:g} s")
    if end > total:
        raise UnusableVideo(f"there are {total} frames, and the range {first}-{end} ends beyond them")
    return fps, first, end, total


def _store(spool: Spool, files: Sequence[Path], size_px: tuple[int, int] | None) -> tuple[int, ...]:
    """Store the pictures of one component, and return their shape."""
    from pipeline.video.image_sequence import read_grey

    for picture in read_grey(files):
        shape = picture.shape
        spool.add(scaled(picture, None, size_px))
    return shape
