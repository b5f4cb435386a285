"""One Fisher vector a video of improved dense trajectories."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from extractors.base import Extract, Extractor, FittedNetwork, Labelled, Row
from extractors.fitted_pca import sample
from extractors.trajectories.config import Trajectories

if TYPE_CHECKING:
    import torch

    from extractors.trajectories.fisher import FisherVectors
    from pipeline.training.curves import Curves


class FisherVocabulary(FittedNetwork):
    """What Fisher vectors are encoded with: of each descriptor half as many principal components, and a mixture.

    Fitted to as many features of every training row, drawn at random, or all where it has fewer. A fit that was killed
    begins anew.
    """

    widths: tuple[PositiveInt, ...] = Field(description="of the descriptors, which lie side by side in ``features``")
    gaussians: PositiveInt
    sampled: PositiveInt = Field(description="features of all rows together, at the most")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """The state of ``FisherVectors``; there is nothing to draw as curves.

        Raises InputError where there are fewer features than Gaussians, or than components and one.
        """
        import torch

        from extractors.trajectories.gmm import fit_mixture
        from pipeline.pca.config import PCA
        from pipeline.pca.project import project
        from pipeline.training.curves import Curves

        state: dict[str, torch.Tensor] = {}
        features = self._samples(material)
        for number, part in enumerate(np.split(features, np.cumsum(self.widths)[:-1], axis=1)):
            reducer = PCA(dims=max(1, part.shape[1] // 2)).fit([part.astype(np.float32)])
            projected = torch.from_numpy(project(reducer, part.astype(np.float32))).to(device)
            mixture = fit_mixture(
                projected, self.gaussians, self.seed, f"descriptor {number + 1} of {len(self.widths)}"
            )
            state |= {f"{number}.{name}": torch.from_numpy(reducer[name]) for name in ("mean", "components")}
            state |= {f"{number}.{name}": getattr(mixture, name).cpu() for name in ("weights", "means", "variances")}
        return state, Curves()

    def _samples(self, material: Labelled) -> np.ndarray:
        from tqdm import tqdm

        share = -(-self.sampled // max(1, len(material.rows)))
        rows = (row.arrays["features"] for row in tqdm(material.rows, desc="sampling", unit="row", disable=None))
        drawn = [features[sample(len(features), share, self.seed)] for features in rows]
        return np.concatenate([np.empty((0, sum(self.widths)), np.float16), *drawn])[: self.sampled]


class IDT(Extractor):
    """Improved dense trajectories as one Fisher vector a video: Wang and Schmid (ICCV 2013), section 3.2.

    ``features (1, dim)`` float32: of the trajectories' shape, HOG, HOF and both MBH, in this order, one Fisher vector
    each, of length 1 by itself and not normalised again together: 109,056 numbers with the defaults. A video without
    trajectories has 0 throughout. The attribute ``trajectories`` says how many there are.
    """

    name: Literal["idt"] = "idt"

    trajectories: Trajectories = Trajectories()
    gaussians: PositiveInt = 256
    sampled_trajectories: PositiveInt = Field(
        256_000,
        description="to which components and Gaussians are fitted, as many of each training video",
    )
    seed: NonNegativeInt = 0

    @property
    def upstream(self) -> Trajectories:
        return self.trajectories

    @property
    def fitted(self) -> FisherVocabulary:
        return FisherVocabulary(
            widths=self.trajectories.layout.widths,
            gaussians=self.gaussians,
            sampled=self.sampled_trajectories,
            seed=self.seed,
        )

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Runs on the CPU whatever the device."""
        from extractors.trajectories.fisher import FisherVectors
        from pipeline.training.weights_file import load_state

        (state,) = states.values()
        return partial(_encoded, FisherVectors(load_state(state)))


def _encoded(encode: "FisherVectors", rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        features = row.arrays["features"]
        arrays = {"features": encode(features)[None], "start_frames": np.zeros(1, np.int64)}
        yield Row(arrays, {**row.attributes, "trajectories": len(features)})
