"""Stacked LSTMs with a decision over the sequence: torch's LSTM, or the early form without forget gates."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sequence_models.networks.steps import Decision, StepClassifier, last_step, log_mean_softmax

DECISIONS = {"mean": Decision(log_mean_softmax, trains_every_step=True), "last": Decision(last_step)}


class GatedLayer(nn.LSTM):
    """LSTM layer with forget gates: torch's, batch first.

    References
    ----------
    Gers, Schmidhuber and Cummins, *Learning to Forget: Continual Prediction with LSTM*, Neural Computation 2000.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden, batch_first=True)


class UngatedLayer(nn.Module):
    """LSTM layer without forget gates, whose cells are fully recurrent::

        i, g, o = σ, tanh, σ(W x_t + U m_{t-1} + b)     c_t = c_{t-1} + i ⊙ g     m_t = o ⊙ tanh(c_t)

    It has 3·hidden·(features + hidden + 1) parameters, initialised uniformly in ±1/√hidden, as torch's LSTM is.

    References
    ----------
    Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation 1997.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(features, 3 * hidden)  # i, g, o
        self.recurrent = nn.Parameter(torch.empty(3 * hidden, hidden))
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map inputs (batch, time, feature) to m at every step (batch, time, hidden), and the last m and c.

        The last m and c are (batch, hidden).
        """
        m = c = inputs.new_zeros(len(inputs), self.recurrent.shape[1])
        outputs = []
        for x in self.inputs(inputs).unbind(dim=1):
            i, g, o = (x + F.linear(m, self.recurrent)).chunk(3, dim=1)
            c = c + torch.sigmoid(i) * torch.tanh(g)
            m = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(m)
        return torch.stack(outputs, dim=1), (m, c)


class LSTM(StepClassifier):
    """Stack of LSTM layers with a linear read-out at every step, from features (batch, time, feature) to logits.

    Parameters
    ----------
    features, classes : int
        Numbers of features of a step, and of classes.
    hidden : int
        Number of cells in each layer.
    layers : int
        Number of layers.
    forget_gate : bool
        Use ``GatedLayer``, else ``UngatedLayer``.
    decision : "mean" or "last"
        Scores of the sequence: the logarithm of the steps' mean probability, or the last step's logits.
    """

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
