"""PCA against sklearn's exact one, and its laws."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as ExactPCA

from pipeline import reducer
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.reducer import PCA, fit_pca, load_reducer, project, save_reducer


def samples(count: int, dim: int, seed: int = 0) -> np.ndarray:
    """Correlated, with clearly separate variances, far from the origin."""
    generator = np.random.default_rng(seed)
    mixing = np.linalg.qr(generator.normal(size=(dim, dim)))[0] * np.linspace(3, 0.2, dim)[:, None]
    return generator.normal(size=(count, dim)) @ mixing + 100.0


@pytest.fixture(params=["exact", "leading"])
def regime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "leading":
        monkeypatch.setattr(reducer, "COVARIANCE_DIMS", 8)
    return str(request.param)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.usefixtures("regime")
def test_agrees_with_sklearn(whiten: bool) -> None:
    data = samples(500, 20)
    ours = fit_pca(np.array_split(data, 7), PCA(dims=10, whiten=whiten))
    theirs = ExactPCA(n_components=10, whiten=whiten, svd_solver="full").fit(data)
    np.testing.assert_allclose(ours["mean"], theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours["variances"], theirs.explained_variance_, rtol=1e-9)
    assert ours["energy"] == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-12)
    expected = theirs.transform(data)
    signs = np.sign(np.sum(expected * project(ours, data), axis=0))
    np.testing.assert_allclose(project(ours, data), expected * signs, atol=1e-5)


def test_leading_directions_of_many_more_dimensions_than_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    decay = 0.8 ** np.arange(120)
    data = (generator.normal(size=(600, 120)) * decay).astype(np.float32)
    exact = fit_pca([data], PCA(dims=8))
    monkeypatch.setattr(reducer, "COVARIANCE_DIMS", 8)
    leading = fit_pca(np.array_split(data, 40), PCA(dims=8))
    np.testing.assert_allclose(leading["variances"], exact["variances"], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(leading["components"] * exact["components"], axis=1)), 1, atol=1e-3)
    assert leading["energy"] == pytest.approx(float(exact["energy"]), rel=1e-3)


@given(cuts=st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=30, deadline=None)
def test_division_into_batches_does_not_matter(cuts: list[int]) -> None:
    data = samples(60, 6)
    whole = fit_pca([data], PCA(dims=4))
    divided = fit_pca(np.split(data, sorted(cuts)), PCA(dims=4))
    for name, array in whole.items():
        np.testing.assert_allclose(divided[name], array, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("regime")
def test_components_are_orthonormal_fall_in_variance_and_have_a_sign() -> None:
    state = fit_pca([samples(300, 20)], PCA(dims=9))
    np.testing.assert_allclose(state["components"] @ state["components"].T, np.eye(9), atol=1e-10)
    assert np.all(np.diff(state["variances"]) < 0)
    largest = np.abs(state["components"]).argmax(axis=1)
    assert np.all(state["components"][np.arange(9), largest] > 0)


@pytest.mark.usefixtures("regime")
def test_same_samples_give_the_same_bits() -> None:
    batches = np.array_split(samples(100, 20).astype(np.float32), 3)
    first, second = fit_pca(batches, PCA(dims=5)), fit_pca(iter(batches), PCA(dims=5))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_whitened_projection_has_unit_covariance() -> None:
    data = samples(400, 12)
    projected = project(fit_pca([data], PCA(dims=5, whiten=True)), data)
    assert projected.dtype == np.float32
    np.testing.assert_allclose(np.cov(projected.T), np.eye(5), atol=1e-4)


def test_far_from_the_origin_nothing_cancels() -> None:
    data = samples(300, 5) + 1e7
    expected = ExactPCA(n_components=3, svd_solver="full").fit(data).explained_variance_
    np.testing.assert_allclose(fit_pca(np.array_split(data, 9), PCA(dims=3))["variances"], expected, rtol=1e-7)


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.999, 1.0])
def test_energy_keeps_the_fewest_components_that_hold_it(energy: float) -> None:
    data = samples(200, 10)
    shares = np.cumsum(ExactPCA(svd_solver="full").fit(data).explained_variance_ratio_)
    state = fit_pca([data], PCA(energy=energy))
    kept = len(state["variances"])
    assert shares[kept - 1] >= energy - 1e-12
    assert kept == 1 or shares[kept - 2] < energy
    assert state["energy"] == pytest.approx(shares[kept - 1])


def test_all_energy_of_samples_in_a_plane_are_two_components() -> None:
    plane = np.random.default_rng(0).normal(size=(50, 2)) @ np.random.default_rng(1).normal(size=(2, 9))
    state = fit_pca([plane], PCA(energy=1.0))
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
        fit_pca(batches, PCA(dims=5))


def test_wide_features_need_dims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducer, "COVARIANCE_DIMS", 8)
    with pytest.raises(InputError, match="give dims"):
        fit_pca([samples(30, 9)], PCA(energy=0.5))


@pytest.mark.usefixtures("regime")
def test_a_saved_state_projects_to_the_same_bits(tmp_path: Path) -> None:
    data = samples(100, 20)
    state = fit_pca([data], PCA(dims=5))
    save_reducer(tmp_path / "pca.safetensors", state, {"fitted": "here"})
    loaded = load_reducer(tmp_path / "pca.safetensors")
    assert loaded.keys() == state.keys()
    np.testing.assert_array_equal(project(loaded, data), project(state, data))
    assert all(loaded[name].shape == array.shape and array.flags.c_contiguous for name, array in state.items())
