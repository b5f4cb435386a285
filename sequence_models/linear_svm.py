"""Configuration of the baseline: a linear support vector machine on the mean over time."""

from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from pipeline.config import Positive
from sequence_models.base import Model

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.training.batches import Examples
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network
    from sequence_models.networks.linear_svm import PooledLinear


class LinearSVM(Model):
    """Linear support vector machine, one class against the rest, on the mean of each sequence's features over time.

    It is scikit-learn's ``LinearSVC`` with the squared hinge loss. Its margins are the scores.

    References
    ----------
    Fan, Chang, Hsieh, Wang and Lin, *LIBLINEAR: A Library for Large Linear Classification*, JMLR 2008.
    """

    name: Literal["linear_svm"] = "linear_svm"
    C: Positive = Field(1.0, description="weight of the loss beside the ℓ2 penalty of the weights")
    scaling: Literal["standardise", "largest", "none"] = Field(
        "standardise",
        description='scaling of the means over the training sequences: "standardise": each feature to mean 0 and '
        'standard deviation 1; "largest": all divided by the largest standard deviation, so that principal components '
        'keep their relative scale; "none": as they are, for vectors of length 1 such as Fisher vectors, so that C '
        "means what it does in their papers",
    )

    def build(self, features: int, classes: int) -> "PooledLinear":
        from sequence_models.networks.linear_svm import PooledLinear

        return PooledLinear(features, classes)

    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        """Fit the classifier in one call: no checkpoint is written, and the curves are empty."""
        from pipeline.training.curves import Curves
        from sequence_models.networks.linear_svm import fit_svm

        fit_svm(cast("PooledLinear", network), examples, self.C, seed, self.scaling)
        return Curves()
