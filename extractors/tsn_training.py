"""How a temporal segment network is fine-tuned on the training videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from extractors.base import FittedNetwork, Labelled
from pipeline.config import File
from pipeline.hyperparameters import Fit

if TYPE_CHECKING:
    import torch
    from torch import nn

    from extractors.training_snippets import TrainingSnippets
    from pipeline.fit import Curves

Modality = Literal["rgb", "flow", "rgb_diff"]


class Finetuning(Fit):
    """Wang et al., *Temporal Segment Networks* (ECCV 2016), sections 3.2 and 4.1; defaults are those of RGB.

    An example is a snippet of each of ``segments`` equal parts of a video, at a place drawn anew in every epoch. All
    its pictures get the same crop, with sides drawn from ``jitter_scales`` of the picture's short side, width and
    height at most one scale apart, and resized to the network's input.
    """

    optimiser: Literal["sgd", "adam", "rmsprop"] = "sgd"
    weight_decay: float = Field(5e-4, ge=0)
    batch: PositiveInt = Field(128, description="videos")
    clip_norm: PositiveFloat | None = Field(40.0, description="largest ℓ2 norm of all gradients; 20 for flow")
    segments: PositiveInt = 3
    dropout: float = Field(0.8, ge=0, lt=1, description="before the classifier; 0.7 for flow")
    partial_bn: bool = Field(True, description="batch normalisation stays as it came, but for the first layer's")
    jitter_scales: tuple[float, ...] = Field((1, 0.875, 0.75, 0.66), min_length=1, description="without 0.66 for flow")
    corner_crop: bool = Field(True, description="at one of 13 fixed places, instead of anywhere")
    mirror: bool = Field(True, description="half the examples left to right; horizontal flow changes its sign")
    colour_jitter: float = Field(
        0.0, ge=0, lt=1, description="brightness, contrast and saturation, in random order, by factors in 1 ± this"
    )
    """Howard, *Some Improvements on Deep Convolutional Neural Network Based Image Classification* (2013), section 2.2:
    0.5. Not for flow."""

    @field_validator("jitter_scales")
    @classmethod
    def _falling(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < scale <= 1 for scale in scales) or list(scales) != sorted(set(scales), reverse=True):
            raise ValueError("jitter_scales must fall, from 1 at most, and stay above 0")
        return scales

    def check(self, modality: Modality) -> None:
        """Raises ValueError where snippets of ``modality`` cannot be trained on like this."""
        if modality == "flow" and self.colour_jitter:
            raise ValueError("flow has no colours: colour_jitter must be 0")


class FittedTSN(FittedNetwork):
    """A backbone's weights and a classifier, fine-tuned on snippets of the training videos.

    They come from rows of ``frames`` ("rgb", "rgb_diff") or of ``tvl1`` ("flow"). The trained state dict has the keys
    ``backbone.*`` of the backbone network, ``head.weight (class, dim)`` and ``head.bias (class,)``.
    """

    modality: Modality
    backbone: str = Field(description="a name in extractors.backbones.registry")
    weights: File
    crop: PositiveInt = Field(description="pixels, the side of the network's input")
    fit: Finetuning

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """``weights`` must be the path of a file. Raises InputError where they are another network's."""
        from extractors.networks.tsn import TSNNetwork
        from extractors.training_snippets import TrainingSnippets
        from extractors.weights import load
        from pipeline.fit import seeded

        examples = TrainingSnippets(material, self)
        with seeded(self.seed):
            network = TSNNetwork(
                self.backbone,
                self.modality,
                material.classes,
                dropout=self.fit.dropout,
                partial_bn=self.fit.partial_bn,
            ).start_from(load(Path(self.weights)))
        curves = finetune(network, examples, self.fit, seed=self.seed, device=device, checkpoint=checkpoint)
        return on_cpu(network.state_dict()), curves


def finetune(
    network: "nn.Module", examples: "TrainingSnippets", config: Finetuning, *, seed: int, device: str, checkpoint: Path
) -> "Curves":
    """``pipeline.fit.fit`` with pictures channels last, and this process's share of threads and GPUs."""
    import cv2
    import torch

    from pipeline.fit import fit

    # from the CPU: processes that share a training get a copy, which must not come to lie on one GPU
    network.to("cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes = torch.cuda.device_count() if device == "cuda" else 1
    # on a CPU threads compute, beside a GPU they read
    loaders = max(1, torch.get_num_threads() // processes) if device == "cuda" else 0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # training pictures are small: OpenCV's threads would only keep torch's waiting
    try:
        return fit(
            network,  # type: ignore[arg-type]  # with a loss
            examples,
            config,
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            loaders=loaders,
            processes=processes,
        )
    finally:
        cv2.setNumThreads(threads)


def on_cpu(state: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The same tensors, ready to be saved."""
    return {name: weight.cpu() for name, weight in state.items()}
