"""Hyperparameters of fine-tuning on snippets."""

from typing import Literal

from pydantic import Field, field_validator

from extractors.snippets.modality import Modality
from pipeline.config import Few, NonNegative, Positive, Size
from pipeline.training.config import Fit


class Finetuning(Fit):
    """Schedule, regularisation and augmentation of fine-tuning on snippets; the defaults are those of RGB.

    Notes
    -----
    An example is a snippet of each of ``segments`` equal parts of a video, at a place drawn anew in every epoch. All
    its pictures get the same crop, with sides drawn from ``jitter_scales`` of the picture's short side, width and
    height at most one scale apart, and resized to the network's input.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016), sections 3.2 and 4.1.
    Howard, *Some Improvements on Deep Convolutional Neural Network Based Image Classification* (2013), section 2.2:
    ``colour_jitter``, there 0.5.
    """

    optimiser: Literal["sgd", "adam", "rmsprop"] = "sgd"
    weight_decay: NonNegative = Field(5e-4, description="factor of the ℓ2 penalty on weights")
    batch: Size = Field(128, description="number of videos in a batch")
    clip_norm: Positive | None = Field(
        40.0, description="largest ℓ2 norm of all gradients together; the paper's code has 20 for flow"
    )
    segments: Few = Field(3, description="equal parts of a video that give one snippet each")
    dropout: float = Field(
        0.8, ge=0, lt=1, description="share of features dropped before the classifier; the paper has 0.7 for flow"
    )
    partial_bn: bool = Field(
        True, description="freeze the statistics and weights of all batch normalisation but the first layer's"
    )
    jitter_scales: tuple[Positive, ...] = Field(
        (1, 0.875, 0.75, 0.66),
        min_length=1,
        description="falling scales of a crop's sides, relative to the picture's short side; flow goes without 0.66",
    )
    corner_crop: bool = Field(True, description="crop at one of 13 fixed places instead of anywhere")
    mirror: bool = Field(
        True, description="mirror half of the examples left to right; horizontal flow changes its sign"
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="in random order, brightness, contrast and saturation change by factors within 1 ± this; not flow",
    )

    @field_validator("jitter_scales")
    @classmethod
    def _falling(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < scale <= 1 for scale in scales) or list(scales) != sorted(set(scales), reverse=True):
            raise ValueError("jitter_scales must decrease, lie above 0 and be 1 at most")
        return scales

    def check(self, modality: Modality) -> None:
        """Raise ValueError where snippets of ``modality`` cannot be trained on like this."""
        if modality == "flow" and self.colour_jitter:
            raise ValueError("flow has no colours: colour_jitter must be 0")
