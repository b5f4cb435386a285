"""Places where a temporal difference network adds the differences of the image subnetwork's maps."""

from collections.abc import Mapping

LAYERS: Mapping[str, tuple[str, ...]] = {
    "resnet50": ("input", "conv1", "res2", "res3", "res4"),
    "squeezenet1_0": ("input", "conv1", "fire4", "fire8"),
}
"""Places by the backbone's name, each just before the resolution is reduced: "conv1" is the first convolution, and the
others are parts of the backbone under their own names."""
