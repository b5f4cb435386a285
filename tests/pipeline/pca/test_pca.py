"""PCA against sklearn's exact one, and its laws."""

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as ExactPCA

from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.pca import fit as pca_fit
from pipeline.pca.config import PCA
from pipeline.pca.project import PROJECTED_ROWS, load_reducer, project, save_reducer


def samples(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Correlated, with clearly separate variances, far from the origin."""
    generator = np.random.default_rng(seed)
    mixing = np.linalg.qr(generator.normal(size=(dim, dim)))[0] * np.linspace(3, 0.2, dim)[:, None]
    return generator.normal(size=(count, dim)) @ mixing + 100.0


@pytest.fixture(params=["exact", "leading"])
def regime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(pca_fit, "BLOCK_ROWS", 64)
    if request.param == "leading":
        monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    return str(request.param)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.usefixtures("regime")
def test_agrees_with_sklearn(whiten: bool) -> None:
    data = samples(500, 20)
    data = data[data[:, 0].argsort()]  # so that the mean moves from block to block
    ours = PCA(dims=10, whiten=whiten).fit(np.array_split(data, 7))
    theirs = ExactPCA(n_components=10, whiten=whiten, svd_solver="full").fit(data)
    np.testing.assert_allclose(ours["mean"], theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours["variances"], theirs.explained_variance_, rtol=1e-9)
    assert ours["energy"] == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-12)
    expected = theirs.transform(data)
    signs = np.sign(np.sum(expected * project(ours, data), axis=0))
    np.testing.assert_allclose(project(ours, data), expected * signs, atol=1e-5)


def test_agrees_with_sklearn_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    monkeypatch.setattr(pca_fit, "BLOCK_ROWS", 64)
    data = samples(500, 20).astype(np.float32)
    data = data[data[:, 0].argsort()]
    ours, theirs = PCA(dims=10).fit([data]), ExactPCA(n_components=10, svd_solver="full").fit(data.astype(float))
    np.testing.assert_allclose(ours["variances"], theirs.explained_variance_, rtol=1e-5)
    assert ours["energy"] == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-6)
    np.testing.assert_allclose(np.abs(ours["components"] @ theirs.components_.T), np.eye(10), atol=1e-4)


def wide(decay: str, precision: str) -> np.ndarray:
    """900 samples of 9000 dimensions: of low rank with noise, or with variances that fall as slowly as HOG3D's."""
    generator = np.random.default_rng(2)
    latents = {"low rank": np.full(30, 3.0), "slow": np.arange(1, 701) ** -0.5}[decay]
    directions = (latents * np.linspace(1, 0.8, len(latents)))[:, None] * generator.normal(size=(len(latents), 9000))
    data = generator.normal(size=(900, len(latents))) @ directions + 0.1 * generator.normal(size=(900, 9000))
    return (data + 5).astype(precision)


def held(data: np.ndarray, components: np.ndarray) -> float:
    """The share of the variance along some directions."""
    centred = data.astype(np.float64) - data.mean(axis=0, dtype=np.float64)
    return float(np.square(centred @ components.T.astype(np.float64)).sum() / np.square(centred).sum())


@pytest.mark.parametrize(("decay", "precision", "margin"), [("low rank", "float16", 1e-6), ("slow", "float32", 2e-3)])
def test_beyond_the_covariance_the_energy_is_nearly_the_most_there_is(
    decay: str, precision: str, margin: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pca_fit, "BLOCK_ROWS", 256)
    data = wide(decay, precision)
    state = PCA(dims=30).fit(np.array_split(data, 60))
    centred = data.astype(np.float64) - data.mean(axis=0, dtype=np.float64)
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    optimum = variances[-30:].sum() / variances.sum()
    share = held(data, state["components"])
    assert optimum - margin < share < optimum + 1e-6
    assert share - margin < state["energy"] < share + 1e-6
    np.testing.assert_allclose(state["mean"], data.mean(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(state["components"] @ state["components"].T, np.eye(30), atol=1e-6)
    assert np.all(state["components"].max(axis=1) >= -state["components"].min(axis=1))
    if decay == "low rank":
        exact = centred.T @ vectors[:, -30:] / np.sqrt(variances[-30:])
        cosines = np.linalg.svd(state["components"] @ exact, compute_uv=False)
        assert cosines.min() > 1 - 1e-5
        np.testing.assert_allclose(state["variances"], variances[:-31:-1] / 899, rtol=1e-5)


def test_leading_directions_of_many_more_dimensions_than_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    decay = 0.8 ** np.arange(120)
    data = (generator.normal(size=(600, 120)) * decay).astype(np.float32)
    exact = PCA(dims=8).fit([data])
    monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    leading = PCA(dims=8).fit(np.array_split(data, 40))
    np.testing.assert_allclose(leading["variances"], exact["variances"], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(leading["components"] * exact["components"], axis=1)), 1, atol=1e-3)
    assert leading["energy"] == pytest.approx(float(exact["energy"]), rel=1e-3)


@pytest.mark.parametrize("covariance_dims", [4, 8])
@given(cuts=st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=30, deadline=None)
def test_division_into_batches_does_not_change_a_bit(covariance_dims: int, cuts: list[int]) -> None:
    data = samples(60, 6).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pca_fit, "COVARIANCE_DIMS", covariance_dims)
        patch.setattr(pca_fit, "BLOCK_ROWS", 16)
        whole = PCA(dims=4).fit([data])
        divided = PCA(dims=4).fit(np.split(data, sorted(cuts)))
    assert all(np.array_equal(divided[name], array) for name, array in whole.items())


@pytest.mark.usefixtures("regime")
def test_components_are_orthonormal_fall_in_variance_and_have_a_sign() -> None:
    state = PCA(dims=9).fit([samples(300, 20)])
    assert state["components"].dtype == np.float32
    np.testing.assert_allclose(state["components"] @ state["components"].T, np.eye(9), atol=5e-7)
    assert np.all(np.diff(state["variances"]) < 0)
    largest = np.abs(state["components"]).argmax(axis=1)
    assert np.all(state["components"][np.arange(9), largest] > 0)


@pytest.mark.usefixtures("regime")
def test_same_samples_give_the_same_bits() -> None:
    batches = np.array_split(samples(100, 20).astype(np.float32), 3)
    first, second = PCA(dims=5).fit(batches), PCA(dims=5).fit(iter(batches))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_whitened_projection_has_unit_covariance() -> None:
    data = samples(400, 12)
    projected = project(PCA(dims=5, whiten=True).fit([data]), data)
    assert projected.dtype == np.float32
    np.testing.assert_allclose(np.cov(projected.T), np.eye(5), atol=1e-4)


def test_far_from_the_origin_nothing_cancels() -> None:
    data = samples(300, 5) + 1e7
    expected = ExactPCA(n_components=3, svd_solver="full").fit(data).explained_variance_
    np.testing.assert_allclose(PCA(dims=3).fit(np.array_split(data, 9))["variances"], expected, rtol=1e-7)


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.999, 1.0])
def test_energy_keeps_the_fewest_components_that_hold_it(energy: float) -> None:
    data = samples(200, 10)
    shares = np.cumsum(ExactPCA(svd_solver="full").fit(data).explained_variance_ratio_)
    state = PCA(energy=energy).fit([data])
    kept = len(state["variances"])
    assert shares[kept - 1] >= energy - 1e-12
    assert kept == 1 or shares[kept - 2] < energy
    assert state["energy"] == pytest.approx(shares[kept - 1])


def test_all_energy_of_samples_in_a_plane_are_two_components() -> None:
    plane = np.random.default_rng(0).normal(size=(50, 2)) @ np.random.default_rng(1).normal(size=(2, 9))
    state = PCA(energy=1.0).fit([plane])
    assert state["components"].shape == (2, 9)
    assert state["energy"] == pytest.approx(1.0)


@pytest.mark.parametrize("table", [{}, {"dims": 2, "energy": 0.5}])
def test_exactly_one_criterion(table: dict[str, float]) -> None:
    with pytest.raises(InputError, match="either dims or energy"):
        parse(PCA, table)


@pytest.mark.parametrize("energy", [0.0, 1.01])
def test_energy_is_a_share(energy: float) -> None:
    with pytest.raises(InputError, match="energy"):
        parse(PCA, {"energy": energy})


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "at least 2 samples"),
        ([np.ones((1, 4))], "at least 2 samples"),
        ([np.ones((9, 4))], "vary in 0"),
        ([samples(3, 9)], "3 samples vary in 2"),
        ([samples(30, 4)], "vary in 4"),
    ],
)
def test_samples_that_cannot_span_the_dimensions(batches: list[np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PCA(dims=5).fit(batches)


def test_samples_of_single_precision_in_too_few_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    monkeypatch.setattr(pca_fit, "BLOCK_ROWS", 32)
    space = np.random.default_rng(0).normal(size=(300, 3)) @ np.random.default_rng(1).normal(size=(3, 500))
    with pytest.raises(InputError, match="vary in 3"):
        PCA(dims=5).fit(np.array_split(space.astype(np.float32), 7))
    assert PCA(dims=3).fit([space.astype(np.float32)])["energy"] == pytest.approx(1, abs=1e-6)


def test_too_many_dims_are_said_before_anything_is_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    monkeypatch.setattr(pca_fit, "_eigen_falling", lambda _: pytest.fail("decomposed"))
    with pytest.raises(InputError, match="30 samples vary in 29 at most; give fewer dims, or more samples"):
        PCA(dims=30).fit([samples(30, 90)])
    with pytest.raises(InputError, match="PCA to 1000000 dimensions: the samples have 90; give fewer dims"):
        PCA(dims=1_000_000).fit([samples(30, 90)])


def test_samples_of_different_dimensions() -> None:
    with pytest.raises(InputError, match="samples with 9 dimensions, and of others with 1"):
        PCA(dims=3).fit([samples(30, 9), np.ones((3, 1))])


def test_wide_features_need_dims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pca_fit, "COVARIANCE_DIMS", 8)
    with pytest.raises(InputError, match="give dims"):
        PCA(energy=0.5).fit([samples(30, 9)])


@pytest.mark.usefixtures("regime")
def test_a_saved_state_projects_to_the_same_bits(tmp_path: Path) -> None:
    data = samples(100, 20)
    state = PCA(dims=5).fit([data])
    save_reducer(tmp_path / "pca.safetensors", state, {"fitted": "here"})
    loaded = load_reducer(tmp_path / "pca.safetensors")
    assert loaded.keys() == state.keys()
    np.testing.assert_array_equal(project(loaded, data), project(state, data))
    assert all(loaded[name].shape == array.shape and array.flags.c_contiguous for name, array in state.items())


@pytest.mark.parametrize("precision", ["float16", "float32", "float64"])
def test_projecting_is_as_exact_as_what_comes_out(precision: str) -> None:
    data = wide("slow", precision)[:600]
    state = {"mean": data.mean(axis=0, dtype=np.float64), "components": np.linalg.qr(data[:40].T.astype(float))[0].T}
    exact = (data.astype(np.float64) - state["mean"]) @ state["components"].T
    single = {**state, "components": state["components"].astype(np.float32)}
    deviation = np.abs(project(single, data) - exact)
    assert deviation.max() < 2e-6 * np.linalg.norm(data.astype(np.float64) - state["mean"], axis=1).max()
    np.testing.assert_allclose(project(single, data[:0]), exact[:0])


def peak_of(work: Callable[[], object]) -> int:
    """Bytes of arrays at once, beyond those that are there already."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_a_block_and_the_directions_whatever_the_number_of_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pca_fit, "BLOCK_ROWS", 128)
    generator = np.random.default_rng(0)
    dim, dims, rank = 40000, 20, 40
    batch = generator.normal(size=(24, dim)).astype(np.float16)
    bound = (128 + 1 + rank + dims) * dim * 4
    peaks = [peak_of(partial(PCA(dims=dims).fit, [batch] * count)) for count in (6, 40)]
    columns = pca_fit.COLUMNS * (128 + rank) * 8
    assert max(peaks) < bound + columns + 10 * dim * 8
    assert peaks[1] < 1.01 * peaks[0]


def test_memory_of_projecting_is_that_of_some_rows() -> None:
    features = np.zeros((3000, 2000), np.float16)
    state = {"mean": np.zeros(2000), "components": np.zeros((10, 2000), np.float32)}
    assert peak_of(lambda: project(state, features)) < 1.1 * (2 * PROJECTED_ROWS * 2000 * 4 + 3000 * 10 * 4)


@pytest.mark.slow
def test_hog3d_on_kth_in_size() -> None:
    """56,000 dimensions to 450 of 3,000 samples: the low rank is found whole beneath the noise."""
    generator = np.random.default_rng(0)
    directions = generator.standard_normal((450, 56000), np.float32)
    directions *= np.linspace(1, 0.5, 450)[:, None]

    def batches() -> Iterator[np.ndarray]:
        each = np.random.default_rng(1)
        for _ in range(94):
            latent = each.standard_normal((32, 450), np.float32)
            yield (latent @ directions + 0.5 * each.standard_normal((32, 56000), np.float32)).astype(np.float16)

    state = PCA(dims=450).fit(batches())
    components = state["components"]
    np.testing.assert_allclose(components @ components.T, np.eye(450), atol=1e-6)
    basis = np.linalg.qr(directions.T)[0]
    assert np.linalg.svd(components @ basis, compute_uv=False).min() > 0.9
    along = total = 0.0
    for batch in batches():
        along += float(np.square(project(state, batch)).sum(dtype=np.float64))
        total += float(np.square(batch - state["mean"].astype(np.float32)).sum(dtype=np.float64))
    assert state["energy"] == pytest.approx(along / total, abs=1e-3)
    assert state["energy"] < along / total + 1e-6
