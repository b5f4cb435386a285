"""Residual stacked LSTM, and the same stack without residuals."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from pipeline.errors import InputError
from pipeline.training.config import Fit
from sequence_models.base import TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class ResLSTM(TrainedModel):
    """Lakhal et al., *Residual Stacked RNNs for Action Recognition* (ECCVW 2018).

    The defaults are the paper's: two layers, 25 steps, RMSProp at 1e-3 (section 4.1). Layers are as wide as the
    features, since they are added: a reducer of the stream sets that width, and ``hidden`` states it or is left out.
    The plain stack of figure 3, ``residual = false``, may have any.
    """

    name: Literal["res_lstm"] = "res_lstm"
    layers: PositiveInt = 2
    residual: bool = True
    hidden: PositiveInt | None = None
    classify: Literal["m", "x"] = "m"
    steps: PositiveInt | None = 25
    fit: Fit = Fit(optimiser="rmsprop", lr=1e-3, smoothing=0.9, epochs=50)

    def network(self, features: int, classes: int) -> "networks.res_lstm.ResLSTM":
        from sequence_models.networks.res_lstm import ResLSTM

        hidden = self.hidden or features
        if self.residual and hidden != features:
            raise InputError(
                f"hidden = {hidden} on {features} features: layers that are added to their inputs are as wide; "
                f"give the stream a reducer with {hidden} dimensions"
            )
        return ResLSTM(
            features, classes, hidden=hidden, layers=self.layers, residual=self.residual, classify=self.classify
        )
