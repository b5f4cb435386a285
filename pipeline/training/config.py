"""Configure how a network is trained by ``pipeline.training.loop``."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.config import MAX_COUNT, Count, NonNegative, Positive, Size, WithoutAdded


class Fit(WithoutAdded):
    """Optimiser, schedule and stopping rule of a training.

    Parameters
    ----------
    optimiser
        "sgd" (with momentum), "adam" or "rmsprop".
    lr
        Learning rate at the beginning.
    momentum
        Momentum of SGD, in [0, 1).
    smoothing
        Smoothing constant of RMSProp's running mean of squares, in [0, 1).
    weight_decay
        Factor of the ℓ2 penalty.
    batch
        Number of examples in a batch.
    epochs, iterations
        Length of the training, in passes over the examples or in steps of the optimiser: exactly one of them.
    milestones
        Epochs or iterations, whichever bounds the training, after which the rate is multiplied by ``gamma``; rising.
    gamma
        Factor of the learning rate at each milestone.
    clip_norm
        Largest ℓ2 norm of all gradients together; None for no limit.
    patience
        Stop after so many epochs without a rise of the training accuracy; None, or 0 in a file, to train to the end.
    bf16
        Compute in bfloat16 where autocast does, on CUDA.
    tf32
        Let convolutions and cuDNN's LSTMs round the factors of float32 to 10 bits on CUDA, as torch does by itself;
        otherwise they have IEEE precision, as everything has on a CPU, and in extraction and prediction.

    Raises
    ------
    ValidationError
        Where a field is wrong, both or none of ``epochs`` and ``iterations`` are given, or milestones do not rise.

    Examples
    --------
    >>> Fit(optimiser="sgd", lr=0.1, epochs=30, milestones=(10, 20)).gamma
    0.1
    """

    added: ClassVar[frozenset[str]] = frozenset({"tf32"})

    optimiser: Literal["sgd", "adam", "rmsprop"] = "adam"
    lr: Positive = 1e-3
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    smoothing: float = Field(0.9, ge=0, lt=1, description="smoothing constant of RMSProp's running mean of squares")
    weight_decay: NonNegative = 0.0
    batch: Size = 32
    epochs: Count | None = None
    iterations: Count | None = None
    milestones: tuple[Count, ...] = Field(
        (), description="epochs or iterations after which the rate is multiplied by gamma"
    )
    gamma: Positive = 0.1
    clip_norm: Positive | None = Field(None, description="largest ℓ2 norm of all gradients together")
    patience: int | None = Field(
        None, ge=0, le=MAX_COUNT, description="epochs without a rise of training accuracy, then stop; 0: to the end"
    )
    bf16: bool = Field(False, description="autocast to bfloat16 on CUDA")
    tf32: bool = Field(True, description="TensorFloat-32 in convolutions and cuDNN's LSTMs on CUDA, in training alone")

    def merged(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that were set, but for those that a table states; either bound replaces the other."""
        bounds = ("epochs", "iterations")
        return super().merged({**dict.fromkeys(bounds), **table} if table.keys() & set(bounds) else table)

    @field_validator("patience")
    @classmethod
    def _to_the_end(cls, patience: int | None) -> int | None:
        return patience or None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give either epochs or iterations")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must rise")
        return self
