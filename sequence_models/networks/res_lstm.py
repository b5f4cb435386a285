"""The residual stacked LSTM (Lakhal et al., ECCVW 2018), and the same stack without residuals."""

import torch
from torch import Tensor, nn

from sequence_models.networks.lstm import GatedLayer
from sequence_models.networks.steps import SequenceClassifier, StepTrace, blank_padding, last_step


class ResLSTM(SequenceClassifier):
    """Equations 1 and 2: m^l = LSTM_l(x^{l-1}), x^l = m^l + x^{l-1}; the classes are read off the last layer's m_T.

    classify "x" reads them off x_T instead. Without ``residual``, x^l = m^l.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, residual: bool, classify: str) -> None:
        super().__init__()
        self.residual, self.reads = residual, classify
        self.layers = nn.ModuleList(GatedLayer(width, hidden) for width in [features] + [hidden] * (layers - 1))
        self.classify = nn.Linear(hidden, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(batch, time, feature), (batch,) -> (batch, class) logits."""
        logits: Tensor = self.classify(last_step(self.read(blank_padding(inputs, lengths)), lengths))
        return logits

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> StepTrace:
        return StepTrace(self.classify(self.read(inputs[None])[0]))

    def read(self, inputs: Tensor) -> Tensor:
        """(batch, time, feature) -> m or x of the last layer at every step (batch, time, hidden)."""
        m = x = inputs
        for layer in self.layers:
            m, _ = layer(x)
            x = m + x if self.residual else m
        return m if self.reads == "m" else x
