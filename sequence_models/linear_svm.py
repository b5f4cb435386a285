"""The baseline: a linear support vector machine on the mean over time."""

from typing import TYPE_CHECKING, Literal, cast

from pydantic import PositiveFloat

from sequence_models.base import Model

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.training.batches import Examples
    from pipeline.training.curves import Curves
    from pipeline.training.protocols import Network
    from sequence_models.networks.linear_svm import PooledLinear


class LinearSVM(Model):
    """scikit-learn's LinearSVC, one against the rest, on each sequence's mean of features.

    scaling: "standardise" brings each feature of those means to mean 0 and deviation 1 over the training sequences;
    "largest" divides all by the largest deviation, which leaves principal components their weight; "none" takes them as
    they are, for features of length 1 such as Fisher vectors, on which C then means what it does in their papers.
    """

    name: Literal["linear_svm"] = "linear_svm"
    C: PositiveFloat = 1.0
    scaling: Literal["standardise", "largest", "none"] = "standardise"

    def build(self, features: int, classes: int) -> "PooledLinear":
        from sequence_models.networks.linear_svm import PooledLinear

        return PooledLinear(features, classes)

    def train(
        self, network: "Network", examples: "Examples", *, seed: int, device: str, checkpoint: "Path"
    ) -> "Curves":
        """Fit at once; there is no checkpoint to continue from, and no curve."""
        from pipeline.training.curves import Curves
        from sequence_models.networks.linear_svm import fit_svm

        fit_svm(cast("PooledLinear", network), examples, self.C, seed, self.scaling)
        return Curves()
