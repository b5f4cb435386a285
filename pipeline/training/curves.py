"""Training curves: loss, accuracy and learning rate of every epoch."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Curves:
    """Loss, accuracy and learning rate of each epoch of a training; ``len(curves)`` epochs.

    Attributes
    ----------
    loss
        Mean loss over the epoch's examples.
    accuracy
        Mean accuracy over the epoch's examples, in [0, 1].
    lr
        Learning rate of the epoch's last step.

    Examples
    --------
    >>> curves = Curves().extended(loss=1.8, accuracy=0.2, lr=0.1).extended(loss=0.9, accuracy=0.7, lr=0.1)
    >>> curves.accuracy
    (0.2, 0.7)
    >>> Curves.from_json(curves.to_json()) == curves
    True
    """

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    def extended(self, loss: float, accuracy: float, lr: float) -> Self:
        """Return the curves with one epoch more."""
        return type(self)((*self.loss, loss), (*self.accuracy, accuracy), (*self.lr, lr))

    def followed_by(self, later: Self) -> Self:
        """Return the curves of two trainings, one after the other."""
        return type(self)(self.loss + later.loss, self.accuracy + later.accuracy, self.lr + later.lr)

    def to_json(self) -> str:
        """Return the curves as JSON, for ``from_json``."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build curves from what ``to_json`` returned."""
        return cls(**{name: tuple(values) for name, values in json.loads(text).items()})
