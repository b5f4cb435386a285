"""How something is trained: the fields that ``pipeline.training.loop`` obeys."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from pipeline.config import Config


class Fit(Config):
    """Optimiser, schedule and stopping rule; one default for each, here.

    Exactly one of ``epochs`` and ``iterations`` bounds the training; ``milestones`` are counted in that unit.
    """

    optimiser: Literal["sgd", "adam", "rmsprop"] = "adam"
    lr: PositiveFloat = 1e-3
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    smoothing: float = Field(0.9, ge=0, lt=1, description="of RMSProp's running square")
    weight_decay: float = Field(0.0, ge=0)
    batch: PositiveInt = 32
    epochs: PositiveInt | None = None
    iterations: PositiveInt | None = None
    milestones: tuple[PositiveInt, ...] = Field((), description="where the rate is multiplied by gamma")
    gamma: PositiveFloat = 0.1
    clip_norm: PositiveFloat | None = Field(None, description="largest ℓ2 norm of all gradients together")
    patience: PositiveInt | None = Field(None, description="epochs without a rise of training accuracy, then stop")
    bf16: bool = Field(False, description="autocast to bfloat16 on CUDA")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError("give either epochs or iterations")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must rise")
        return self
