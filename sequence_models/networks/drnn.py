"""The dRNN of any order: its weights, its read-out and its decision over the sequence."""

import torch
from torch import Tensor, nn

from sequence_models.networks.recurrence import Recurrence, Truncation, forward, unroll
from sequence_models.networks.steps import Decision, StepClassifier, StepTrace, last_step, mean_over_steps

DECISIONS = {"last": Decision(last_step), "mean": Decision(mean_over_steps)}


class DRNN(StepClassifier):
    """Differential recurrent neural network of any order, from features (batch, time, feature) to logits.

    Parameters
    ----------
    features, classes : int
        Numbers of features of a step, and of classes.
    order : int
        Highest derivative of the state that the gates see.
    state : int
        Number of internal states.
    truncation : "dos", "none" or "hs97"
        Paths on which no gradient flows, as for ``recurrence.unroll``.
    linear_readout : bool
        Give the recurrence as many outputs as states, and a linear layer to the classes; else it has an output a class.
    decision : "last" or "mean"
        Scores of the sequence: the last step's logits, or the mean of all.
    init_bound : float
        Weights and biases are initialised uniformly in ±init_bound.
    forget_bias : float
        Number added to the initial biases of the forget gates.

    References
    ----------
    Veeriah, Zhuang and Qi, *Differential Recurrent Neural Networks for Action Recognition*, ICCV 2015, section 3.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        order: int,
        state: int,
        truncation: Truncation,
        linear_readout: bool,
        decision: str,
        init_bound: float,
        forget_bias: float,
    ) -> None:
        super().__init__(DECISIONS[decision])
        output = state if linear_readout else classes
        seen = (order + 1) * state + output
        self.order, self.truncation = order, truncation
        self.inputs = nn.Linear(features, 3 * state + output)  # i, f, g, o
        self.gates = nn.Parameter(torch.empty(2 * state, seen))
        self.cell = nn.Parameter(torch.empty(state, output))
        self.output_gate = nn.Parameter(torch.empty(output, seen))
        self.readout = nn.Linear(state, output)
        self.classify = nn.Linear(output, classes) if linear_readout else nn.Identity()
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-init_bound, init_bound)
            self.inputs.bias[state : 2 * state] += forget_bias

    def outputs(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.classify(unroll(inputs.transpose(0, 1), self.recurrence(), self.truncation))
        return logits.transpose(0, 1)

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> StepTrace:
        """Trace one sequence, with the norms of the state and of its derivatives, two or as many as the order."""
        trail = forward(inputs[:, None], self.recurrence(), history=True)
        derivative, norms = trail.states[1:, 0], []
        for _ in range(max(self.order, 2) + 1):
            norms.append(derivative.norm(dim=1))
            derivative = derivative.diff(dim=0, prepend=torch.zeros_like(derivative[:1]))
        return StepTrace(self.classify(trail.outputs[1:, 0]), torch.stack(norms, dim=1))

    def recurrence(self) -> Recurrence:
        """Return the weights of the recurrence: all but those of ``classify``."""
        return Recurrence(
            self.inputs.weight,
            self.inputs.bias,
            self.gates,
            self.cell,
            self.output_gate,
            self.readout.weight,
            self.readout.bias,
        )
