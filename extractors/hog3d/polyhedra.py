"""Directions in space and time, quantised on the faces of a regular polyhedron: Kläser et al. (BMVC 2008), section 2.2.

A face's normal is an axis. Opposite faces share one where a direction's sign does not matter ("half" orientation).
"""

import torch
from torch import Tensor

_PHI = (1 + 5**0.5) / 2

_AXES = {
    "icosahedron": (
        *((1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, -1, 1)),
        *((0, 1 / _PHI, _PHI), (0, -1 / _PHI, _PHI)),
        *((1 / _PHI, _PHI, 0), (1 / _PHI, -_PHI, 0)),
        *((_PHI, 0, 1 / _PHI), (-_PHI, 0, 1 / _PHI)),
    ),
    "dodecahedron": ((0, 1, _PHI), (0, -1, _PHI), (1, _PHI, 0), (-1, _PHI, 0), (_PHI, 0, 1), (_PHI, 0, -1)),
}
_NEIGHBOURS = {"icosahedron": 5**0.5 / 3, "dodecahedron": 5**-0.5}
"""Cosine between the axes of faces that share an edge: a direction along one of them adds nothing to the other."""


def axes(solid: str, orientation: str) -> Tensor:
    """(bins, 3) float64, x, y and t: one axis for each pair of opposite faces; "full" adds their negatives."""
    half = torch.tensor(_AXES[solid], dtype=torch.float64)
    return torch.cat((half, -half)) if orientation == "full" else half


class Quantiser:
    """Vectors to histograms of their directions, which sum to their lengths."""

    def __init__(self, solid: str, orientation: str, device: str) -> None:
        directions = axes(solid, orientation)
        self.half = orientation == "half"
        self.threshold = _NEIGHBOURS[solid] * float(directions[0].norm())
        self.axes = directions.float().to(device)

    def __call__(self, vectors: Tensor) -> Tensor:
        """(3, n) float32 -> (bins, n)."""
        lengths = vectors.square().sum(0).sqrt_()
        shares: Tensor = self.axes @ vectors
        if self.half:
            shares.abs_()
        shares.sub_(self.threshold * lengths).relu_()
        totals = shares.sum(0)
        # every direction is near enough to an axis: only the zero vector has no share in any
        return shares.mul_(torch.where(totals > 0, lengths / totals, 0))
