"""Configuration of Fisher vectors of improved dense trajectories, one for each video."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from extractors.base import Extract, Extractor, FittedNetwork, Labelled, Row
from extractors.fitted_pca import sample
from extractors.trajectories.config import Trajectories
from pipeline.config import Count, Seed, Size

if TYPE_CHECKING:
    import torch

    from extractors.trajectories.fisher import FisherVectors
    from pipeline.training.curves import Curves


class FisherVocabulary(FittedNetwork):
    """Vocabulary of Fisher vectors: a PCA and a mixture of Gaussians for each descriptor.

    Notes
    -----
    PCA keeps half of a descriptor's dimensions. Both are fitted to the same number of features of every training row,
    drawn at random, or to all where it has fewer. A fit that was killed starts again.

    References
    ----------
    Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013), section 3.2.
    """

    uses_gpu: ClassVar[bool] = True

    widths: tuple[Count, ...] = Field(description="lengths of the descriptors, which lie side by side in features")
    gaussians: Size = Field(description="number of Gaussians of a mixture")
    sampled: Count = Field(description="largest number of features of all rows together")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """Fit the state of ``FisherVectors``; its curves are empty.

        Raises
        ------
        InputError
            Where there are no more features than components, or fewer than Gaussians.
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
        from pipeline.files.progress import Bar

        size = -(-self.sampled // max(1, len(material.rows)))
        rows = (row.arrays["features"] for row in Bar(material.rows, desc="sampling trajectories", unit="row"))
        drawn = [features[sample(len(features), size, self.seed)] for features in rows]
        return np.concatenate([np.empty((0, sum(self.widths)), np.float16), *drawn])[: self.sampled]


class IDT(Extractor):
    """Improved dense trajectories, encoded as one Fisher vector for each video.

    Notes
    -----
    A row holds

    - ``features`` (1, dim), float32: Fisher vectors of the trajectories' shape, HOG, HOF and both MBH, in this order,
      each normalised to a length of 1 and not again together; 109,056 numbers with the defaults, 0 throughout for a
      video without trajectories;
    - ``start_frames`` (1,), int64: 0;
    - ``times`` and ``ends`` (1,), float64: when the clip begins and ends, in seconds;

    and the attribute ``trajectories``, their number.

    References
    ----------
    Wang and Schmid, *Action Recognition with Improved Trajectories* (ICCV 2013), section 3.2.
    """

    name: Literal["idt"] = "idt"

    trajectories: Trajectories = Field(Trajectories(), description="trajectories that are encoded")
    gaussians: Size = Field(256, description="number of Gaussians of each mixture")
    sampled_trajectories: Count = Field(
        256_000,
        description="number of trajectories that components and Gaussians are fitted to, the same for each training"
        " video",
    )
    seed: Seed = Field(0, description="seed of the sample and of k-means")

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
        """Prepare to run on the CPU, whatever the device."""
        from extractors.trajectories.fisher import FisherVectors
        from pipeline.training.weights_file import load_state

        (state,) = states.values()
        return partial(_encoded, FisherVectors(load_state(state)))


def _encoded(encode: "FisherVectors", rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        features = row.arrays["features"]
        span = {name: np.array([row.attributes[place]]) for name, place in (("times", "start_s"), ("ends", "end_s"))}
        arrays = {"features": encode(features)[None], "start_frames": np.zeros(1, np.int64), **span}
        yield Row(arrays, {**row.attributes, "trajectories": len(features)})
