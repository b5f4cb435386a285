"""Bring pictures of high dynamic range to BT.709, as a screen of standard range shows them.

Code values become linear light by the curve of their standard, in units of the reference white, 203 cd/m² (ITU-R
BT.2408, section 2.2); BT.2020's primaries become BT.709's; a colour with a component above white is divided by that
component, which keeps its hue; what lies outside BT.709's gamut is clipped; and the screen's curve, a power of 2.4
(ITU-R BT.1886), is inverted to 8 bits.
"""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["PQ", "HLG"]
"""Curves of high dynamic range: SMPTE ST 2084, and hybrid log-gamma of ITU-R BT.2100."""
TRANSFERS: dict[int, Transfer] = {16: "PQ", 18: "HLG"}
"""Curves by their number in ITU-T H.273, table 3."""
BT2020 = 9
"""Number of BT.2020's primaries in ITU-T H.273, table 2."""
WHITE_CD_M2 = 203.0
_HLG_PEAK_CD_M2 = 1000.0
_SCREEN_GAMMA = 2.4
_LEVELS = 2**16
# ITU-R BT.2087, section 3
_BT709_FROM_BT2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def standard_range(picture: NDArray[np.uint16], transfer: Transfer, *, wide_gamut: bool) -> NDArray[np.uint8]:
    """Convert a picture to 8-bit BT.709.

    Parameters
    ----------
    picture : uint16 array, shape (height, width, 3)
        Non-linear RGB, 0 to 65,535.
    transfer
        Its curve.
    wide_gamut
        Whether its primaries are BT.2020's; otherwise they are taken as BT.709's.

    Returns
    -------
    uint8 array, shape (height, width, 3)
        RGB.
    """
    light = _linear(transfer)[picture]
    if transfer == "HLG":
        light = _displayed(light)
    if wide_gamut:
        light = light @ _BT709_FROM_BT2020.T
    light /= np.maximum(1, light.max(-1, keepdims=True))
    return np.rint(255 * light.clip(0, 1) ** np.float32(1 / _SCREEN_GAMMA)).astype(np.uint8)


@cache
def _linear(transfer: Transfer) -> NDArray[np.float32]:
    """Return the light of every level: PQ's in units of white, HLG's that of the scene, 0 to 1."""
    levels = np.arange(_LEVELS) / (_LEVELS - 1)
    light = _pq(levels) / WHITE_CD_M2 if transfer == "PQ" else _hlg(levels)
    return light.astype(np.float32)


def _pq(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 4: the electro-optical transfer function, in cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = levels ** (1 / m2)
    return 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5: the inverse of the opto-electronic transfer function."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - c) / a) + b) / 12)


def _displayed(scene: NDArray[np.float32]) -> NDArray[np.float32]:
    """ITU-R BT.2100, table 5: the opto-optical transfer function of a screen of 1,000 cd/m², in units of white."""
    gamma = 1.2
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    gain = _HLG_PEAK_CD_M2 / WHITE_CD_M2 * luminance ** (gamma - 1)
    return scene * gain[..., None].astype(np.float32)
