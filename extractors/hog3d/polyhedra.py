"""Quantises directions in space and time on the faces of a regular polyhedron: Kläser et al. (BMVC 2008), section 2.2.

The normal of a face is an axis. Opposite faces share one where a direction's sign does not matter ("half" orientation).
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
    """Return the axes of a polyhedron.

    Parameters
    ----------
    solid : str
        "icosahedron" or "dodecahedron".
    orientation : str
        "half": one axis for each pair of opposite faces; "full": its negative, too.

    Returns
    -------
    Tensor of float64, shape (bins, 3)
        x, y and t, not normalised.

    Examples
    --------
    >>> axes("icosahedron", "half").shape, axes("dodecahedron", "full").shape
    (torch.Size([10, 3]), torch.Size([12, 3]))
    """
    half = torch.tensor(_AXES[solid], dtype=torch.float64)
    return torch.cat((half, -half)) if orientation == "full" else half


class Quantiser:
    """Turns each vector into a histogram over the directions of a polyhedron's faces, which sums to its length."""

    def __init__(self, solid: str, orientation: str, device: str) -> None:
        directions = axes(solid, orientation)
        self.half = orientation == "half"
        self.threshold = _NEIGHBOURS[solid] * float(directions[0].norm())
        self.axes = directions.float().to(device)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Quantise vectors (3, n) float32 of x, y and t: histograms (bins, n)."""
        lengths = vectors.square().sum(0).sqrt_()
        votes: Tensor = self.axes @ vectors
        if self.half:
            votes.abs_()
        votes.sub_(self.threshold * lengths).relu_()
        totals = votes.sum(0)
        # every direction is near enough to an axis: only the zero vector has no share in any
        return votes.mul_(torch.where(totals > 0, lengths / totals, 0))
