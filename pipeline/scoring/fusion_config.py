"""Configure late fusion, and the choice of its weights."""

from math import comb
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.config import Config, Few, NonNegative, Seed

MAX_TRIED = 2000
"""Largest number of weightings that are tried."""


class Chosen(Config):
    """Choice of the weights that recognise most videos of a validation part of each fold's training videos.

    To choose them, the weighted streams, and all that is fitted for them, are trained again on the rest of the training
    videos; test videos are not touched. All weights that are multiples of 1 / ``parts`` and sum to 1 are tried. With
    ``times_last`` the last stream takes no part in the choice.

    Parameters
    ----------
    validation
        Fraction of the training videos that is held out to choose on.
    seed
        Seed by which groups, or videos where there are no groups, are drawn for validation.
    parts
        Number of equal parts that are distributed over the streams.
    """

    validation: float = Field(gt=0, lt=1, description="fraction of the training videos that is held out to choose on")
    seed: Seed = Field(0, description="seed by which groups, or videos without groups, are drawn")
    parts: Few = 20


class Fusion(Config):
    """Late fusion of several streams.

    Parameters
    ----------
    rule
        "sum", "product" (the default) or "weighted" joins the softmax outputs [1]_; "l1" joins the scores before
        softmax, each video's divided by its ℓ1 norm, by weights [2]_.
    weights
        One weight a stream, in their order, for the rules "weighted" and "l1".
    choose
        How weights are chosen instead.
    times_last
        Join all streams but the last by the rule, and multiply the last one's probabilities onto the result, as is done
        with improved dense trajectories [1]_.

    Raises
    ------
    ValidationError
        Where a field is wrong, or weights are missing, all 0, or given to a rule that takes none.

    References
    ----------
    .. [1] Lakhal et al., *Residual Stacked RNNs for Action Recognition* (ECCV Workshops 2018), late fusion.
    .. [2] Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018).

    Examples
    --------
    >>> Fusion(rule="weighted", weights=(1, 1.5)).weights
    (1.0, 1.5)
    """

    rule: Literal["sum", "product", "weighted", "l1"] = "product"
    weights: tuple[NonNegative, ...] | None = None
    choose: Chosen | None = None
    times_last: bool = False

    @model_validator(mode="after")
    def _weights_where_used(self) -> Self:
        given = (self.weights is not None) + (self.choose is not None)
        if self.rule in ("weighted", "l1") and given != 1:
            raise ValueError(f"the rule {self.rule!r} needs either weights, one a stream, or choose, to find them by")
        if self.rule in ("sum", "product") and given:
            raise ValueError(f"the rule {self.rule!r} takes no weights; 'weighted' and 'l1' do")
        if self.weights is not None and not any(self.weights):
            raise ValueError("all weights are 0; at least one must be more")
        return self

    def with_weights(self, weights: tuple[float, ...]) -> Self:
        """Return the same fusion with weights that were chosen."""
        return type(self)(rule=self.rule, weights=weights, times_last=self.times_last)

    def check(self, streams: int) -> None:
        """Raise ValueError where the fusion does not fit this number of streams, or has too many weights to try."""
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
