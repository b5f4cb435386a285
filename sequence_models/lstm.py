"""Configuration of stacked LSTMs, and of the early LSTM without forget gates."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.config import Few, Size
from pipeline.training.config import Fit
from sequence_models.base import Step, TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class LSTM(TrainedModel):
    """Stack of LSTM layers with a linear read-out at every step.

    With ``forget_gate = false``, one layer and 50 cells it is the network of Baccouche et al., section 3. They train it
    online, with momentum, until the training accuracy no longer rises, as the defaults of ``fit`` do; they name neither
    learning rate nor patience.

    References
    ----------
    Baccouche, Mamalet, Wolf, Garcia and Baskurt, *Sequential Deep Learning for Human Action Recognition*, HBU 2011.

    Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation 1997 (without forget gates).

    Gers, Schmidhuber and Cummins, *Learning to Forget: Continual Prediction with LSTM*, Neural Computation 2000.
    """

    name: Literal["lstm"] = "lstm"
    hidden: Size = Field(50, description="number of cells in each layer")
    layers: Few = Field(1, description="number of layers")
    forget_gate: bool = Field(True, description="give the cells forget gates; without them they never forget")
    decision: Literal["mean", "last"] = Field(
        "mean",
        description='"mean": the mean of the steps\' probabilities, each step trained towards the label; "last": the '
        "last step alone",
    )
    fit: Fit = Field(
        Fit(optimiser="sgd", lr=1e-3, momentum=0.9, batch=1, epochs=200, patience=10),
        description="optimiser, schedule and stopping rule",
    )

    @property
    def step(self) -> Step:
        if self.forget_gate:
            return Step(4 * self.hidden**2, operations=1)  # cuDNN's
        return Step(3 * self.hidden**2, operations=9)

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
