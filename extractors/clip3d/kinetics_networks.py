"""How torchvision's video networks look at a video, by its metadata of their weights."""

from typing import NamedTuple


class KineticsNetwork(NamedTuple):
    """How a network looks at a video.

    Parameters
    ----------
    frames : int
        Frames of a window, ``clip_len`` of the metadata.
    rate_fps : float
        Frames a second at which the video is looked at, ``frame_rate`` of the metadata.
    dim : int
        Number of features.
    fixed : bool
        Whether it sees windows of no other length.
    """

    frames: int
    rate_fps: float
    dim: int
    fixed: bool = False


KINETICS_NETWORKS = {
    "r3d_18": KineticsNetwork(16, 15, 512),
    "mc3_18": KineticsNetwork(16, 15, 512),
    "r2plus1d_18": KineticsNetwork(16, 15, 512),
    "s3d": KineticsNetwork(128, 15, 1024),
    "mvit_v1_b": KineticsNetwork(16, 7.5, 768, fixed=True),
    "mvit_v2_s": KineticsNetwork(16, 7.5, 768, fixed=True),
    "swin3d_t": KineticsNetwork(32, 15, 768),
    "swin3d_s": KineticsNetwork(32, 15, 768),
    "swin3d_b": KineticsNetwork(32, 15, 1024),
}
"""Networks by torchvision's name."""
