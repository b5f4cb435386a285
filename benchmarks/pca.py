"""Measures PCA in one pass, against scikit-learn's IncrementalPCA.

    python benchmarks/pca.py [--json]

Samples are float16 whose variances fall as a power law, as HOG3D's do, so that there is always more left out than the
next component holds. Ours takes them in batches as a store's rows come; the peer, which wants as many as it has
components, in float32 and gathered in blocks of twice that. The explained variance is the fraction of all samples'
variance along the components, computed afterwards. HOG3D on KTH: ``--rows 15000 --dim 56000 --dims 450``.
"""

import numpy as np
from sklearn.decomposition import IncrementalPCA
from table import Comparison, fastest, options
from threadpoolctl import threadpool_limits

from pipeline.pca.config import PCA


def samples(rows: int, dim: int, batch: int) -> list[np.ndarray]:
    """Draw batches (batch, dim) float16, of 1500 directions or as many as there are rows, and noise."""
    rng = np.random.default_rng(0)
    stds = np.arange(1, min(rows, 1500) + 1, dtype=np.float32) ** -0.5
    directions = stds[:, None] * rng.standard_normal((len(stds), dim), np.float32)
    made = []
    for start in range(0, rows, batch):
        latent = rng.standard_normal((min(batch, rows - start), len(stds)), np.float32)
        noise = rng.standard_normal((len(latent), dim), np.float32)
        made.append((latent @ directions + 0.1 * noise).astype(np.float16))
    return made


def explained_variance_ratio(batches: list[np.ndarray], mean: np.ndarray, components: np.ndarray) -> float:
    """Return the fraction of the variance along the components."""
    along = total = 0.0
    for batch in batches:
        centred = batch.astype(np.float32) - mean.astype(np.float32)
        along += float(np.square(centred @ components.T.astype(np.float32)).sum(dtype=np.float64))
        total += float(np.square(centred).sum(dtype=np.float64))
    return along / total


def main() -> None:
    given, table = options(__doc__ or "", rows=2048, dim=10000, dims=50, batch=32, threads=2, rounds=1)
    batches = samples(given.rows, given.dim, given.batch)
    together = -(-2 * given.dims // given.batch)
    fitted: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def ours() -> None:
        state = PCA(dims=given.dims).fit(batches)
        fitted["ours"] = state["mean"], state["components"]

    def theirs() -> None:
        model = IncrementalPCA(given.dims)
        for start in range(0, len(batches), together):
            model.partial_fit(np.concatenate(batches[start : start + together]).astype(np.float32))
        fitted["theirs"] = model.mean_, model.components_

    with threadpool_limits(given.threads):
        seconds = fastest(given.rounds, ours, theirs)
    sizes = f"{given.rows} x {given.dim} float16 to {given.dims}"
    table.add(Comparison("PCA fitted; IncrementalPCA", *seconds, "s", sizes, given.threads))
    explained = (explained_variance_ratio(batches, *fitted[side]) for side in ("ours", "theirs"))
    table.add(Comparison("explained variance; IncrementalPCA", *explained, "of all", sizes, given.threads))


if __name__ == "__main__":
    main()
