"""The differential recurrent neural network."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from pipeline.training.config import Fit
from sequence_models.base import TrainedModel

if TYPE_CHECKING:
    from sequence_models import networks


class DRNN(TrainedModel):
    """Veeriah, Zhuang, Qi, *Differential Recurrent Neural Networks for Action Recognition* (ICCV 2015).

    order 0 is the paper's LSTM, 1 and 2 its dRNNs. The defaults are the paper's, rate and epochs among them (section
    4.2); optimiser, batch and initialisation it does not name.
    """

    version: ClassVar[int] = 2

    name: Literal["drnn"] = "drnn"
    order: NonNegativeInt = 2
    state: PositiveInt = 300
    truncation: Literal["dos", "none", "hs97"] = "dos"
    readout: Literal["literal", "linear"] = "literal"
    decision: Literal["last", "mean"] = "last"
    forget_bias: float = Field(0.0, description="added to the forget gates' initial biases")
    init_bound: PositiveFloat | None = Field(None, description="weights start uniform in ±this; by default 1/√state")
    fit: Fit = Fit(optimiser="adam", lr=1e-4, epochs=50)

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
