"""LSTM stacks with a decision over the sequence: on torch's LSTM, or of the early form without forget gates."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sequence_models.networks.steps import Decision, StepClassifier, last_step, log_mean_softmax

DECISIONS = {"mean": Decision(log_mean_softmax, trains_every_step=True), "last": Decision(last_step)}


class GatedLayer(nn.LSTM):
    """Gers, Schmidhuber and Cummins (2000), as torch has it, batch first."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden, batch_first=True)


class UngatedLayer(nn.Module):
    """Fully recurrent cells that never forget (Hochreiter and Schmidhuber 1997)::

        i, g, o = σ, tanh, σ(W x_t + U m_{t-1} + b)     c_t = c_{t-1} + i ⊙ g     m_t = o ⊙ tanh(c_t)

    3·hidden·(features + hidden + 1) parameters, which start uniform in ±1/√hidden, as those of torch's LSTM do.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(features, 3 * hidden)  # i, g, o
        self.recurrent = nn.Parameter(torch.empty(3 * hidden, hidden))
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(batch, time, feature) -> m at every step (batch, time, hidden), and the last m and c (batch, hidden)."""
        m = c = inputs.new_zeros(len(inputs), self.recurrent.shape[1])
        outputs = []
        for x in self.inputs(inputs).unbind(dim=1):
            i, g, o = (x + F.linear(m, self.recurrent)).chunk(3, dim=1)
            c = c + torch.sigmoid(i) * torch.tanh(g)
            m = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(m)
        return torch.stack(outputs, dim=1), (m, c)


class LSTM(StepClassifier):
    """(batch, time, feature), (batch,) -> (batch, class) logits."""

    def __init__(
        self, features: int, classes: int, *, hidden: int, layers: int, forget_gate: bool, decision: str
    ) -> None:
        super().__init__(DECISIONS[decision])
        layer = GatedLayer if forget_gate else UngatedLayer
        self.layers = nn.ModuleList(layer(width, hidden) for width in [features] + [hidden] * (layers - 1))
        self.classify = nn.Linear(hidden, classes)

    def outputs(self, inputs: Tensor) -> Tensor:
        for layer in self.layers:
            inputs, _ = layer(inputs)
        logits: Tensor = self.classify(inputs)
        return logits
