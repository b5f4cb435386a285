"""Places where a temporal difference network joins the differences."""

from collections.abc import Mapping

LAYERS: Mapping[str, tuple[str, ...]] = {
    "resnet50": ("input", "conv1", "res2", "res3", "res4"),
    "squeezenet1_0": ("input", "conv1", "fire4", "fire8"),
}
"""By the backbone's name, the places before its reductions of resolution, where differences can be joined: "conv1" is
the first convolution, and the others are parts of the networks, called as there."""
