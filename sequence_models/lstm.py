"""LSTM stacks, and the early LSTM without forget gates."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from pipeline.training.config import Fit
from sequence_models.base import TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class LSTM(TrainedModel):
    """An LSTM with a linear read-out at every step.

    With ``forget_gate = false``, one layer and 50 cells it is that of Baccouche et al., *Sequential Deep Learning for
    Human Action Recognition* (HBU 2011), section 3: trained online with momentum until the training accuracy no
    longer rises, which the defaults of ``fit`` do too; the paper names neither rate nor patience.
    """

    name: Literal["lstm"] = "lstm"
    hidden: PositiveInt = 50
    layers: PositiveInt = 1
    forget_gate: bool = True
    decision: Literal["mean", "last"] = "mean"
    fit: Fit = Fit(optimiser="sgd", lr=1e-3, momentum=0.9, batch=1, epochs=200, patience=10)

    def network(self, features: int, classes: int) -> "networks.lstm.LSTM":
        from sequence_models.networks.lstm import LSTM

        return LSTM(
            features,
            classes,
            hidden=self.hidden,
            layers=self.layers,
            forget_gate=self.forget_gate,
            decision=self.decision,
        )
