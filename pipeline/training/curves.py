"""Training curves: loss, accuracy and rate of every epoch."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Curves:
    """Means over the training examples of each epoch: loss, accuracy in [0, 1], and the rate of its last step."""

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    lr: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.loss)

    def extended(self, loss: float, accuracy: float, lr: float) -> Self:
        """With one epoch more."""
        return type(self)((*self.loss, loss), (*self.accuracy, accuracy), (*self.lr, lr))

    def followed_by(self, later: Self) -> Self:
        """Those of two trainings, one after the other."""
        return type(self)(self.loss + later.loss, self.accuracy + later.accuracy, self.lr + later.lr)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**{name: tuple(values) for name, values in json.loads(text).items()})
