"""The residual stacked LSTM, and the same stack without residuals."""

import torch
from torch import Tensor, nn

from sequence_models.networks.lstm import GatedLayer
from sequence_models.networks.steps import SequenceClassifier, StepTrace, blank_padding, last_step


class ResLSTM(SequenceClassifier):
    """Stack of LSTM layers with identity shortcuts: m^l = LSTM_l(x^{l-1}), x^l = m^l + x^{l-1}.

    Parameters
    ----------
    features, classes : int
        Numbers of features of a step, and of classes.
    hidden : int
        Number of cells in each layer.
    layers : int
        Number of layers.
    residual : bool
        Add each layer's input to its output; without, x^l = m^l.
    classify : "m" or "x"
        Read the classes off m or x of the last layer, at the last step.

    References
    ----------
    Lakhal et al., *Residual Stacked RNNs for Action Recognition*, ECCV Workshops 2018, equations 1 and 2.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, residual: bool, classify: str) -> None:
        super().__init__()
        self.residual, self.reads = residual, classify
        self.layers = nn.ModuleList(GatedLayer(width, hidden) for width in [features] + [hidden] * (layers - 1))
        self.classify = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Map inputs (batch, time, feature) and lengths (batch,) to logits (batch, class)."""
        logits: Tensor = self.classify(last_step(self.read(blank_padding(inputs, lengths)), lengths))
        return logits

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> StepTrace:
        return StepTrace(self.classify(self.read(inputs[None])[0]))

    def read(self, inputs: Tensor) -> Tensor:
        """Return m or x of the last layer at every step, (batch, time, hidden), for inputs (batch, time, feature)."""
        m = x = inputs
        for layer in self.layers:
            m, _ = layer(x)
            x = m + x if self.residual else m
        return m if self.reads == "m" else x
