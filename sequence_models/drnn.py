"""Configuration of the differential recurrent neural network (dRNN)."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from pipeline.config import MAX_FEW, Positive, Size
from pipeline.training.config import Fit
from sequence_models.base import Step, TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class DRNN(TrainedModel):
    """Differential recurrent neural network: an LSTM whose gates see the derivatives of its internal state.

    The defaults are the paper's, learning rate and epochs among them (section 4.2); it does not name optimiser, batch
    size and initialisation.

    References
    ----------
    Veeriah, Zhuang and Qi, *Differential Recurrent Neural Networks for Action Recognition*, ICCV 2015.

    Examples
    --------
    Each order adds the weights of one more derivative to the three gates, 2·300·300 + 6·300:

    >>> sizes = [sum(weight.numel() for weight in DRNN(order=n).build(450, 6).parameters()) for n in (0, 1, 2)]
    >>> sizes[0], sizes[1] - sizes[0], sizes[2] - sizes[1]
    (597648, 181800, 181800)
    """

    version: ClassVar[int] = 2

    name: Literal["drnn"] = "drnn"
    order: int = Field(
        2,
        ge=0,
        le=MAX_FEW,
        description="highest derivative of the state that the gates see; 0 is the paper's LSTM, 1 and 2 its dRNNs",
    )
    state: Size = Field(300, description="number of internal states")
    truncation: Literal["dos", "none", "hs97"] = Field(
        "dos",
        description='where the gradient stops: "dos" at the derivatives of the state, "none" nowhere, "hs97" also '
        "at the recurrent inputs of the gates, as in Hochreiter and Schmidhuber 1997",
    )
    readout: Literal["literal", "linear"] = Field(
        "literal",
        description='"literal": as many outputs as classes, fed back, as the paper writes; "linear": as many as '
        "states, and a linear layer to the classes",
    )
    decision: Literal["last", "mean"] = Field(
        "last", description="scores of the sequence: the logits of its last step, or their mean over all steps"
    )
    forget_bias: float = Field(
        0.0, ge=-1000, le=1000, description="number added to the initial biases of the forget gates"
    )
    init_bound: Positive | None = Field(
        None, description="weights are initialised uniformly in ±init_bound; None: 1/√state"
    )
    fit: Fit = Field(Fit(optimiser="adam", lr=1e-4, epochs=50), description="optimiser, schedule and stopping rule")

    @property
    def step(self) -> Step:
        """Cost of a step, of which the few classes that the literal read-out feeds back are left out."""
        seen = (self.order + 1) * self.state  # d⁰s … dᴺs
        fed_back = self.state if self.readout == "linear" else 0
        gates = 2 * self.state * (seen + fed_back)
        outputs = fed_back * (self.state + seen + fed_back + self.state)  # g, o and the read-out
        return Step(gates + outputs, operations=15)

    def network(self, features: int, classes: int) -> "networks.drnn.DRNN":
        from sequence_models.networks.drnn import DRNN

        return DRNN(
            features,
            classes,
            order=self.order,
            state=self.state,
            truncation=self.truncation,
            linear_readout=self.readout == "linear",
            decision=self.decision,
            init_bound=self.init_bound or self.state**-0.5,
            forget_bias=self.forget_bias,
        )
