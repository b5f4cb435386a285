"""Configuration of the residual stacked LSTM, and of the same stack without residuals."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.config import Few, Size
from pipeline.errors import InputError
from pipeline.training.config import Fit
from sequence_models.base import Step, TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class ResLSTM(TrainedModel):
    """Residual stacked LSTM: each layer's input is added to its output.

    The defaults are the paper's: two layers, 25 steps, RMSProp at 1e-3 (section 4.1). Since input and output are added,
    the layers are as wide as the features: a stream's reducer sets that width, and ``hidden`` states it or is left out.
    The plain stack of figure 3, ``residual = false``, may have any width.

    References
    ----------
    Lakhal, Clapés, Escalera, Lanz and Cavallaro, *Residual Stacked RNNs for Action Recognition*, ECCV Workshops 2018.
    """

    name: Literal["res_lstm"] = "res_lstm"
    layers: Few = Field(2, description="number of layers")
    residual: bool = Field(True, description="add each layer's input to its output")
    hidden: Size | None = Field(None, description="number of cells in each layer; None: as many as there are features")
    classify: Literal["m", "x"] = Field(
        "m", description="read the classes off the last layer's output m, or off its sum x with the layer's input"
    )
    steps: Size | None = Field(
        25, description="number of steps to which a sequence is sampled, by the paper's σ(t); None: all its steps"
    )
    fit: Fit = Field(
        Fit(optimiser="rmsprop", lr=1e-3, smoothing=0.9, epochs=50), description="optimiser, schedule and stopping rule"
    )

    @property
    def step(self) -> Step | None:
        return None if self.hidden is None else Step(4 * self.hidden**2, operations=1)

    def network(self, features: int, classes: int) -> "networks.res_lstm.ResLSTM":
        from sequence_models.networks.res_lstm import ResLSTM

        hidden = self.hidden or features
        if self.residual and hidden != features:
            raise InputError(
                f"hidden = {hidden} on {features} features: a residual layer is as wide as its input; "
                f"give the stream a reducer with {hidden} dimensions"
            )
        return ResLSTM(
            features, classes, hidden=hidden, layers=self.layers, residual=self.residual, classify=self.classify
        )
