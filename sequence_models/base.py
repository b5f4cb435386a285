"""Base classes of the sequence models: configurations that can be built into networks and trained."""

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from pipeline.config import Config, Size
from pipeline.training.config import Fit

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.training.batches import Examples
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network


PRODUCTS_WHILE_STARTING = 125_000
"""Multiplications that a CPU's core does in the 5 µs or so that it takes to start one operation on a GPU.

Reckoned from 25·10⁹ a second, not measured: where ``make gpu`` finds another number on a GPU, it belongs here.
"""


class Step(NamedTuple):
    """What one time step of a recurrence costs, apart from the products with the inputs, which are made at once.

    Parameters
    ----------
    products : int
        Multiplications for one sequence.
    operations : int
        Operations that are started one after another on a GPU.
    """

    products: int
    operations: int


class Model(Config):
    """Configuration of a sequence model, which can be built into a network and trained.

    Notes
    -----
    The network is a ``torch.nn.Module`` with three methods:

    - ``forward(inputs, lengths) -> scores`` takes inputs (batch, time, feature) and lengths (batch,) int64 and returns
      logits (batch, class), whose softmax gives probabilities; steps at and beyond a sequence's length never change its
      scores;
    - ``loss(inputs, lengths, targets) -> (loss, scores)`` returns the scalar mean over the batch; targets are those of
      ``pipeline.training.losses``;
    - ``trace(inputs) -> StepTrace | None`` returns the network's outputs at every step of one sequence
      (time, feature), or None.
    """

    name: str = Field(description="the model's name, by which a recipe chooses it")
    steps: Size | None = Field(
        None, description="number of steps to which a sequence is sampled, by σ(t) of Res-LSTM; None: all its steps"
    )

    @property
    def reads(self) -> str:
        """Name of the array of a row that is the input sequence: "features" or "scores"."""
        return "features"

    @property
    def uses_gpu(self) -> bool:
        """True where a GPU makes it faster."""
        return False

    @property
    def trained(self) -> bool:
        """True where the network must be trained before it is of use."""
        return True

    @abstractmethod
    def build(self, features: int, classes: int) -> "Network":
        """Build the network, initialised from torch's global generator, which the caller has seeded.

        Parameters
        ----------
        features : int
            Number of features of a step.
        classes : int
            Number of classes.

        Returns
        -------
        Network
            The untrained network, on the CPU.
        """

    @abstractmethod
    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        """Train a network in place.

        Parameters
        ----------
        network : Network
            The network as ``build`` made it.
        examples : Examples
            Sequences (time, feature) with their targets.
        seed : int
            Seed of all that is random in the training.
        device : str
            The torch device, "cpu" or "cuda".
        checkpoint : Path
            File in which the training leaves its state, and from which it continues where that exists.

        Returns
        -------
        Curves
            Loss and accuracy over the training.
        """


class TrainedModel(Model):
    """Configuration of a model that is trained by gradient descent, in ``pipeline.training.loop``.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, *Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting*, JMLR 2014.
    """

    fit: Fit = Field(description="optimiser, schedule and stopping rule")
    standardise: bool = Field(
        True,
        description="scale each feature to mean 0 and standard deviation 1 over all steps of the training sequences, "
        "and constant features to 0",
    )
    input_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="probability that a feature is set to 0 in training, drawn anew for every step; the others are "
        "scaled up by 1 / (1 - input_dropout)",
    )

    @property
    def uses_gpu(self) -> bool:
        """True unless a step's products, for a whole batch, cost a CPU less than a GPU needs to start them.

        Small models compute on the CPU, training and prediction alike, whatever device is set: there they are as fast,
        and repeat to the last bit.
        """
        step = self.step
        return step is None or self.fit.batch * step.products >= PRODUCTS_WHILE_STARTING * step.operations

    @property
    def step(self) -> Step | None:
        """Cost of a time step of one layer; None where it is not known, as of one that is as wide as the features."""
        return None

    @abstractmethod
    def network(self, features: int, classes: int) -> "Network":
        """Build the network itself, without what ``standardise`` and ``input_dropout`` put before it.

        Parameters
        ----------
        features, classes : int
            Numbers of features of a step, and of classes.

        Returns
        -------
        Network
            The untrained network, on the CPU.
        """

    def build(self, features: int, classes: int) -> "Network":
        from sequence_models.networks.standardisation import Standardised

        network = self.network(features, classes)
        plain = not self.standardise and not self.input_dropout
        return network if plain else Standardised(network, features, dropout=self.input_dropout)

    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        from pipeline.training.loop import fit
        from sequence_models.networks.standardisation import Standardised

        if isinstance(network, Standardised) and self.standardise:
            network.fit_scaling(examples)
        return fit(network, examples, self.fit, seed=seed, device=device, checkpoint=checkpoint)
