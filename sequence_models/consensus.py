"""Configuration of the consensus of the snippets' scores."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.errors import InputError
from sequence_models.base import Model

if TYPE_CHECKING:
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network


class Consensus(Model):
    """Parameter-free consensus of a video's snippets: the mean of their scores, or a majority vote.

    It reads the array "scores", which an extractor with a trained network writes, and has nothing to train.

    References
    ----------
    Wang, Xiong, Wang, Qiao, Lin, Tang and Van Gool, *Temporal Segment Networks: Towards Good Practices for Deep Action
    Recognition*, ECCV 2016, section 3.1 (mean).

    Baccouche, Mamalet, Wolf, Garcia and Baskurt, *Sequential Deep Learning for Human Action Recognition*, HBU 2011,
    section 4 (vote).

    Examples
    --------
    >>> Consensus(rule="vote").trained
    False
    """

    name: Literal["consensus"] = "consensus"
    rule: Literal["mean", "vote"] = Field(
        "mean", description='"mean": mean of the scores before softmax; "vote": majority vote of the steps'
    )

    @property
    def trained(self) -> bool:
        return False

    @property
    def reads(self) -> str:
        return "scores"

    def build(self, features: int, classes: int) -> "Network":
        from sequence_models.networks.consensus import Mean, Vote

        if features != classes:
            raise InputError(
                f"the scores have {features} classes; the data set has {classes}, and the scores need as many"
            )
        return Mean() if self.rule == "mean" else Vote()

    def train(self, *_: object, **__: object) -> "Curves":
        """Raise NotImplementedError: there is nothing to train."""
        raise NotImplementedError(f"{self.name} has no parameters to train")
