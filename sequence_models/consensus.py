"""Decisions without a sequence model."""

from typing import TYPE_CHECKING, Literal

from pipeline.errors import InputError
from sequence_models.base import Model

if TYPE_CHECKING:
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network


class Consensus(Model):
    """The mean of the snippets' scores (Wang et al. 2016), or their majority's vote (Baccouche et al. 2011)."""

    name: Literal["consensus"] = "consensus"
    rule: Literal["mean", "vote"] = "mean"

    @property
    def trained(self) -> bool:
        return False

    @property
    def reads(self) -> str:
        return "scores"

    def build(self, features: int, classes: int) -> "Network":
        from sequence_models.networks.consensus import Mean, Vote

        if features != classes:
            raise InputError(f"scores are of {features} classes; they must be of the dataset's {classes}")
        return Mean() if self.rule == "mean" else Vote()

    def train(self, *_: object, **__: object) -> "Curves":
        """Nothing is there to train."""
        raise NotImplementedError(f"{self.name} has no parameters")
