"""Folders of pictures, as the field's tools leave them."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from extractors.base import Clip, Row
from extractors.pictures import picture
from pipeline.video.decode import read

FPS = 25


def save(path: Path, image: np.ndarray, quality: int = 95) -> Path:
    """One picture, RGB or grey, in the format that its extension names; WebP without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image, options.get(path.suffix, []))
    return path


def frames(folder: Path, images: Iterable[np.ndarray], name: str = "img_%05d.jpg", first: int = 1) -> Path:
    """Numbered pictures, as TSN and denseflow name frames."""
    for number, image in enumerate(images, start=first):
        save(folder / (name % number), image)
    return folder


def of_video(folder: Path, clip: Clip, name: str = "img_%05d.jpg") -> Clip:
    """The frames of a video as pictures, at its own rate."""
    block = read(clip.path, frames=clip.frames)
    return Clip(frames(folder, block.frames, name), fps=block.fps)


def flow(
    folder: Path, row: Row, names: tuple[str, str] = ("flow_x_%05d.jpg", "flow_y_%05d.jpg"), first: int = 1
) -> Path:
    """The flow of a row of ``tvl1``, as denseflow leaves it."""
    for component, name in zip("xy", names, strict=True):
        frames(folder, (picture(row.arrays, component, n) for n in range(len(row["start_frames"]))), name, first)
    return folder
