"""Image networks that are gone through part by part, so that something can be joined between two of them."""

from collections.abc import Callable, Mapping

from torch import Tensor

Part = Callable[[Tensor], Tensor]


class StagedBackbone:
    """A network whose ``parts``, one after another, lead from images to the maps that its classifier reads.

    "stem" is the first convolution with what follows it at its resolution, "pool" the reduction after it; the others
    end where the resolution is reduced next, or at the end.
    """

    @property
    def parts(self) -> Mapping[str, Part]:
        """In their order, by name."""
        raise NotImplementedError

    def pooled(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, dim), the mean over the last map."""
        maps = images
        for part in self.parts.values():
            maps = part(maps)
        return maps.mean(dim=(2, 3))
