"""What a sequence model promises: (batch, time, feature) and lengths -> (batch, class) scores."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from pipeline.config import Config
from pipeline.training.config import Fit

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.training.batches import Examples
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network


class Model(Config):
    """A configuration that can be built into a network.

    The network is a ``torch.nn.Module`` with

    - ``forward(inputs, lengths) -> scores``: (batch, time, feature), (batch,) int64 -> (batch, class), logits:
      softmax gives probabilities; steps at and beyond a sequence's length never change its scores;
    - ``loss(inputs, lengths, targets) -> (loss, scores)``: scalar mean over the batch, targets as for
      ``pipeline.training.losses``;
    - ``trace(inputs) -> StepTrace | None``: what it says at every step of one sequence (time, feature), if anything.
    """

    name: str
    steps: PositiveInt | None = None
    """Sequences are sampled to so many steps by Res-LSTM's σ(t); None leaves them whole."""

    @property
    def reads(self) -> str:
        """The array of a row that is the input sequence: "features" or "scores"."""
        return "features"

    @property
    def trained(self) -> bool:
        """Whether ``train`` has to be called before the network is of use."""
        return True

    @abstractmethod
    def build(self, features: int, classes: int) -> "Network":
        """The network, initialised from torch's global generator, which the caller has seeded."""

    @abstractmethod
    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        """Train ``network``, as ``build`` made it, in place; continue from ``checkpoint`` where that exists."""


class TrainedModel(Model):
    """A model trained by ``pipeline.training.loop``.

    standardise: each feature to mean 0 and deviation 1 over all steps of the training sequences; constant ones to 0.
    input_dropout: the share of features that is zeroed in training, drawn anew for every step, while the others grow
    (Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR 2014).
    """

    fit: Fit
    standardise: bool = True
    input_dropout: float = Field(0.0, ge=0, lt=1)

    @abstractmethod
    def network(self, features: int, classes: int) -> "Network":
        """The network that sees features as they come, or standardised and with some dropped."""

    def build(self, features: int, classes: int) -> "Network":
        from sequence_models.networks.standardised import Standardised

        network = self.network(features, classes)
        plain = not self.standardise and not self.input_dropout
        return network if plain else Standardised(network, features, dropout=self.input_dropout)

    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        from pipeline.training.loop import fit
        from sequence_models.networks.standardised import Standardised

        if isinstance(network, Standardised) and self.standardise:
            network.measure(examples)
        return fit(network, examples, self.fit, seed=seed, device=device, checkpoint=checkpoint)
