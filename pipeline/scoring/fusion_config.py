"""Configuration of late fusion, and of the choice of its weights."""

from math import comb
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from pipeline.config import Config

MAX_TRIED = 2000


class Chosen(Config):
    """Weights that recognise most videos of a validation part of each fold's training videos; never of its test part.

    The weighted streams are trained again, all that is fitted for them too, on the rest of the training videos. Tried
    are all weights that are multiples of 1 / parts and sum to 1; a last stream that is multiplied on has no say.
    """

    validation: float = Field(gt=0, lt=1, description="the share of the training videos that is held out to choose on")
    seed: NonNegativeInt = Field(0, description="of the draw of groups, or of videos where there are no groups")
    parts: PositiveInt = 20


class Fusion(Config):
    """How streams become one.

    sum, weighted and product join the softmax outputs (Lakhal et al. 2018, late fusion); l1 joins the scores before
    softmax, each video's divided by its ℓ1 norm (Ng and Davis 2018). Weights are in the order of the streams, given or
    chosen. times_last: the rule joins all streams but the last, whose probabilities are multiplied onto the result, as
    Lakhal et al. do with improved dense trajectories.
    """

    rule: Literal["sum", "product", "weighted", "l1"] = "product"
    weights: tuple[NonNegativeFloat, ...] | None = None
    choose: Chosen | None = None
    times_last: bool = False

    @model_validator(mode="after")
    def _weights_where_used(self) -> Self:
        given = (self.weights is not None) + (self.choose is not None)
        if self.rule in ("weighted", "l1") and given != 1:
            raise ValueError(
                f"the rule {self.rule!r} needs either weights, one a stream, or choose, by which to find them"
            )
        if self.rule in ("sum", "product") and given:
            raise ValueError(f"the rule {self.rule!r} takes no weights; 'weighted' and 'l1' do")
        if self.weights is not None and not any(self.weights):
            raise ValueError("all weights are 0; at least one must be more")
        return self

    def by(self, weights: tuple[float, ...]) -> Self:
        """The same with the weights that were chosen."""
        return type(self)(rule=self.rule, weights=weights, times_last=self.times_last)

    def check(self, streams: int) -> None:
        """Raises ValueError where the fusion does not fit so many streams."""
        weighted = streams - self.times_last
        if weighted < 2 and self.times_last:
            raise ValueError(f"times_last needs at least 3 streams, two to join and the last; there are {streams}")
        if self.weights is not None and len(self.weights) != weighted:
            last = " before the last" if self.times_last else ""
            raise ValueError(f"fusion has {len(self.weights)} weights for {weighted} streams{last}")
        if self.choose and (tried := comb(self.choose.parts + weighted - 1, weighted - 1)) > MAX_TRIED:
            raise ValueError(
                f"choose has {tried:,} weights to try for {weighted} streams with parts = {self.choose.parts}; "
                f"no more than {MAX_TRIED:,} are tried: take fewer parts"
            )
