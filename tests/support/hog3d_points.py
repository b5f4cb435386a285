"""HOG3D at single points, as Kläser, Marszałek, Schmid (BMVC 2008) describe it: nothing is shared between boxes."""

import numpy as np
import torch

from extractors.hog3d.descriptor import BoxDescriptors, borders
from extractors.hog3d.grid import Descriptor
from pipeline.errors import InputError


@torch.inference_mode()
def describe_points(frames: np.ndarray, points: np.ndarray, config: Descriptor, device: str = "cpu") -> np.ndarray:
    """Describe the boxes around points.

    Parameters
    ----------
    frames : ndarray of uint8, shape (time, height, width)
        Grey.
    points : ndarray of float64, shape (n, 5)
        x, y, t, σ, τ; x, y and σ in pixels, t and τ in frames.
    config : Descriptor
    device : str

    Returns
    -------
    ndarray of float32, shape (n, dims)

    Raises
    ------
    InputError
        Where the box of a point is not wholly inside the video.
    """
    boxes = BoxDescriptors(config, device)
    length, height, width = frames.shape
    described = []
    for x, y, t, sigma, tau in np.asarray(points, np.float64).tolist():
        side, duration = config.side_px(sigma), config.length_frames(tau)
        left, top, start = x - side / 2, y - side / 2, t - duration / 2
        inside = min(left, top, start) >= 0 and left + side <= width and top + side <= height
        if not inside or start + duration >= length:
            raise InputError(
                f"the box of {side:g}x{side:g} pixels and {duration:g} frames around ({x:g}, {y:g}, {t:g}) is not "
                f"inside {width}x{height} pixels and {length} frames; leave such points out"
            )
        (places,) = borders(np.array([start]), duration, config.cells_t * config.sub_blocks)
        part = torch.from_numpy(frames[places[0] : places[-1] + 1]).to(device)
        ranges = np.stack((places[:-1], places[1:]), axis=1) - places[0]
        planes = boxes.planes(part, ranges, [boxes.lattice([top], [left], side, height, width)])
        cells = planes.unflatten(0, (config.cells_t, config.sub_blocks)).sum(1)
        described.append(boxes.descriptors(cells[None])[0, 0].cpu().numpy())
    return np.stack(described) if described else np.empty((0, config.dims), np.float32)
