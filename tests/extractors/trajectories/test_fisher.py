"""Mixtures of Gaussians, and Fisher vectors by them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from extractors.base import Labelled, Row
from extractors.trajectories import gmm
from extractors.trajectories.fisher import FisherVectors, fisher_vector
from extractors.trajectories.fisher_config import IDT, FisherVocabulary
from extractors.trajectories.gmm import Mixture, fit_mixture
from pipeline.errors import InputError

WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
MEANS = torch.tensor([[0.0, 0, 0, 1], [3, -1, 0.5, 0], [-2, 2, 1, 0.3]], dtype=torch.float64)
DEVIATIONS = torch.tensor([[1.0, 0.5, 2, 1], [0.7, 0.8, 0.9, 1.2], [0.4, 1, 0.6, 0.3]], dtype=torch.float64)
MIXTURE = Mixture(WEIGHTS, MEANS, DEVIATIONS**2)


def drawn(number: int, seed: int = 0) -> torch.Tensor:
    """Samples of the mixture."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(3, number, p=WEIGHTS.numpy())
    return torch.from_numpy(MEANS.numpy()[chosen] + DEVIATIONS.numpy()[chosen] * rng.standard_normal((number, 4)))


def mean_log_likelihood(samples: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> float:
    densities = norm.pdf(samples[:, None], means, deviations).prod(axis=2)
    return float(np.log(densities @ WEIGHTS.numpy()).mean())


def test_a_fisher_vector_is_the_normalised_gradient_of_the_log_likelihood() -> None:
    """By finite differences of a likelihood written down independently."""
    samples, step = drawn(50, seed=3) + 0.4, 1e-6
    vector = fisher_vector(samples, MIXTURE).numpy()
    given = [MEANS.numpy(), DEVIATIONS.numpy()]
    for order in (0, 1):
        for place in np.ndindex(3, 4):
            sides = []
            for sign in (1, -1):
                moved = [values.copy() for values in given]
                moved[order][place] += sign * step
                sides.append(mean_log_likelihood(samples.numpy(), *moved))
            gradient = (sides[0] - sides[1]) / (2 * step)
            information = [1, 2][order] * WEIGHTS[place[0]] / DEVIATIONS[place] ** 2
            assert vector[order][place] == pytest.approx(gradient / float(information) ** 0.5, abs=1e-7)


def test_samples_of_the_mixture_itself_have_a_small_fisher_vector_and_others_a_large_one() -> None:
    """Where Gaussians hardly overlap, its entries have deviation 1 / √n."""
    apart = Mixture(WEIGHTS, MEANS * 20, MIXTURE.variances)
    number = 20_000
    rng = np.random.default_rng(1)
    chosen = rng.choice(3, number, p=WEIGHTS.numpy())
    samples = apart.means.numpy()[chosen] + DEVIATIONS.numpy()[chosen] * rng.standard_normal((number, 4))
    entries = fisher_vector(torch.from_numpy(samples), apart).numpy() * number**0.5
    assert 0.6 < entries.std() < 1.4
    assert abs(entries).max() < 4.5
    assert fisher_vector(torch.from_numpy(samples) + 0.5, apart).abs().max() * number**0.5 > 40


def test_neither_order_nor_blocks_nor_repetition_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = drawn(300)
    vector = fisher_vector(samples, MIXTURE)
    torch.testing.assert_close(fisher_vector(samples.flip(0), MIXTURE), vector)
    torch.testing.assert_close(fisher_vector(samples.repeat(3, 1), MIXTURE), vector)
    monkeypatch.setattr(gmm, "BLOCK", 7)
    torch.testing.assert_close(fisher_vector(samples, MIXTURE), vector)


def test_no_samples_have_no_fisher_vector() -> None:
    assert not fisher_vector(torch.empty(0, 4, dtype=torch.float64), MIXTURE).any()


def as_scikit_learn(mixture: Mixture, **parameters: object) -> GaussianMixture:
    return GaussianMixture(
        len(mixture.weights),
        covariance_type="diag",
        reg_covar=0,
        weights_init=mixture.weights.numpy(),
        means_init=mixture.means.numpy(),
        precisions_init=1 / mixture.variances.numpy(),
        **parameters,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_steps_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same beginning, after the same number of iterations."""
    samples = drawn(3000)
    monkeypatch.setattr(gmm, "ITERATIONS", 0)
    beginning = fit_mixture(samples, 3, 0, "test")
    monkeypatch.setattr(gmm, "ITERATIONS", 5)
    monkeypatch.setattr(gmm, "TOLERANCE", -np.inf)
    fitted = fit_mixture(samples, 3, 0, "test")
    machine = as_scikit_learn(beginning, max_iter=5, tol=0).fit(samples.numpy())
    np.testing.assert_allclose(fitted.weights, machine.weights_, rtol=1e-8)
    np.testing.assert_allclose(fitted.means, machine.means_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fitted.variances, machine.covariances_, rtol=1e-8)
    *_, likelihood = fitted.moments(samples)
    assert likelihood / 3000 == pytest.approx(machine.score(samples.numpy()), rel=1e-10)


def test_a_fit_finds_the_mixture_that_samples_were_drawn_from() -> None:
    fitted = fit_mixture(drawn(30_000).float(), 3, 0, "test")
    order = [int((fitted.means - mean).norm(dim=1).argmin()) for mean in MEANS]
    torch.testing.assert_close(fitted.weights[order], WEIGHTS, atol=0.02, rtol=0)
    torch.testing.assert_close(fitted.means[order], MEANS, atol=0.08, rtol=0)
    torch.testing.assert_close(fitted.variances[order].sqrt(), DEVIATIONS, atol=0.08, rtol=0)


def test_many_threads_find_the_same_bits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gmm, "ITERATIONS", 0)
    samples = drawn(20_000).float()
    with threadpool_limits(8):
        first, *others = (fit_mixture(samples, 64, 0, "test") for _ in range(5))
    assert all(torch.equal(other.means, first.means) for other in others)


def test_what_does_not_vary_has_finite_densities() -> None:
    samples = torch.cat([drawn(200), drawn(1).repeat(200, 1)])
    fitted = fit_mixture(samples, 20, 0, "test")
    assert all(part.isfinite().all() for part in (fitted.weights, fitted.means, fitted.variances))
    assert (fitted.variances > 0).all()
    assert fisher_vector(samples, fitted).isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_fit_on_a_gpu_is_that_on_the_cpu() -> None:
    samples = drawn(5000).float()
    one, other = (fit_mixture(samples.to(device), 3, 0, "test") for device in ("cpu", "cuda"))
    for name in ("weights", "means", "variances"):
        assert getattr(other, name).device.type == "cuda"
        torch.testing.assert_close(getattr(other, name).cpu(), getattr(one, name), atol=1e-3, rtol=1e-3)


class Rows:
    """Rows of trajectories, of two descriptors that are 4 and 6 wide."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Row:
        if index >= len(self.sizes):
            raise IndexError
        rng = np.random.default_rng(index)
        return Row({"features": rng.random((self.sizes[index], 10)).astype(np.float16)})


def vocabulary(sizes: list[int], **fields: int) -> dict[str, torch.Tensor]:
    config = FisherVocabulary(**{"widths": (4, 6), "gaussians": 5, "sampled": 400, **fields})
    material = Labelled(Rows(sizes), [0] * len(sizes), 1, [str(number) for number in range(len(sizes))])
    state, curves = config.train(material, device="cpu", checkpoint=Path("none"))
    assert not len(curves)
    return state


def test_a_vocabulary_encodes_each_descriptor_by_itself() -> None:
    state = vocabulary([100, 0, 300, 50])
    assert state["0.components"].shape == (2, 4)
    assert state["1.means"].shape == (5, 3)
    encode, features = FisherVectors(state), Rows([80])[0].arrays["features"]
    vector = encode(features)
    assert vector.dtype == np.float32
    assert vector.shape == (2 * 5 * (2 + 3),)
    np.testing.assert_allclose([np.linalg.norm(vector[:20]), np.linalg.norm(vector[20:])], 1, rtol=1e-6)
    other = features.copy()
    other[:, 4:] = other[::-1, 4:] ** 2
    assert np.array_equal(encode(other)[:20], vector[:20])
    assert not np.allclose(encode(other)[20:], vector[20:])
    mixture = Mixture(*(state[f"1.{name}"] for name in ("weights", "means", "variances")))
    samples = (torch.from_numpy(features[:, 4:]).double() - state["1.mean"]) @ state["1.components"].double().T
    plain = fisher_vector(samples, mixture).flatten().numpy()
    np.testing.assert_allclose(vector[20:], np.sign(plain) * np.sqrt(abs(plain) / abs(plain).sum()), rtol=1e-5)
    assert not encode(features[:0]).any()


def test_a_seed_is_the_vocabularys_alone() -> None:
    plain, seeded = IDT(), IDT(seed=3)
    assert seeded.fitted == plain.fitted.model_copy(update={"seed": 3})
    assert seeded.upstream == plain.upstream


def test_a_vocabulary_is_its_seed_and_its_samples() -> None:
    sizes = [300] * 5
    one, again, other = vocabulary(sizes), vocabulary(sizes), vocabulary(sizes, seed=1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["0.mean"], other["0.mean"])


def test_too_few_trajectories_are_said() -> None:
    with pytest.raises(InputError, match="7 Gaussians need at least as many samples of descriptor 1 of 2; there are 6"):
        vocabulary([2, 4], gaussians=7)
    with pytest.raises(InputError, match="PCA needs at least 2 samples"):
        vocabulary([0, 0])
