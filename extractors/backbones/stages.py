"""Image networks that run stage by stage, so that something can be added between two stages."""

from collections.abc import Callable, Mapping

from torch import Tensor

Part = Callable[[Tensor], Tensor]


class StagedBackbone:
    """An image network made of ``parts``, which lead one after another from images to the maps that are pooled.

    Notes
    -----
    "stem" is the first convolution with what follows it at its resolution, "pool" the reduction after it. Every other
    part ends where the resolution is next reduced, or with the network.
    """

    @property
    def parts(self) -> Mapping[str, Part]:
        """Parts by name, in the order in which they run."""
        raise NotImplementedError

    def pooled(self, images: Tensor) -> Tensor:
        """Compute pooled features.

        Parameters
        ----------
        images : Tensor, shape (batch, channels, height, width)

        Returns
        -------
        Tensor, shape (batch, dim)
            Means over the last maps.
        """
        maps = images
        for part in self.parts.values():
            maps = part(maps)
        return maps.mean(dim=(2, 3))
