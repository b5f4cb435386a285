"""Small examples and networks, made up to be trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.training.config import Fit
from pipeline.training.curves import Curves
from pipeline.training.loop import fit

CLASSES = 3


class Sequences:
    """Noisy sequences whose mean tells the class; ``noise`` is drawn anew at every reading."""

    def __init__(self, count: int = 20, noise: float = 0.0, die_after: int | None = None) -> None:
        rng = np.random.default_rng(1)
        self.labels = rng.integers(0, CLASSES, count)
        lengths = rng.integers(1, 9, count)
        self.items = [
            (rng.normal(size=(length, 4)) + label).astype(np.float32)
            for length, label in zip(lengths, self.labels, strict=True)
        ]
        self.noise, self.die_after, self.read = noise, die_after, 0

    @property
    def lengths(self) -> list[int]:
        return [len(item) for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.items[index], self.labels[index]

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if self.read == self.die_after:
            raise KeyboardInterrupt
        self.read += 1
        item = self.items[index]
        return item + self.noise * rng.standard_normal(item.shape, np.float32), self.labels[index]


class MeanPool(nn.Module):
    """Dropout, batch normalisation and a linear layer on the mean of the valid steps."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm1d(4), nn.Dropout(0.4), nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        valid = torch.arange(inputs.shape[1], device=inputs.device)[None] < lengths[:, None]
        mean = (inputs * valid[..., None]).sum(1) / lengths[:, None]
        scores: Tensor = self.out(self.drop(self.norm(mean)))
        return scores

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(inputs, lengths)
        return nn.functional.cross_entropy(scores, targets), scores


class Quadratic(nn.Module):
    """Loss ½‖w − x̄‖², so that the gradient is w − x̄; it keeps what it was given."""

    def __init__(self, start: tuple[float, ...] = (1.0, -2.0), groups: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor(start[:1], dtype=torch.float64))
        self.second = nn.Parameter(torch.tensor(start[1:], dtype=torch.float64))
        self.groups, self.seen, self.scripted = groups, [], None  # type: ignore[var-annotated]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([self.first, self.second]).expand(len(inputs), -1)

    def loss(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append((inputs, lengths, targets))
        scores = self(inputs, lengths)
        loss = 0.5 * (scores[0] - inputs[:, 0].mean(0)).square().sum()
        return loss, self.scripted(len(self.seen), targets) if self.scripted else scores

    def parameter_groups(self) -> list[dict[str, Any]]:
        names = self.groups or [{"params": ["first", "second"]}]
        return [{**group, "params": [getattr(self, name) for name in group["params"]]} for group in names]

    @property
    def weights(self) -> np.ndarray:
        return torch.cat([self.first, self.second]).detach().numpy()


class Items:
    """Examples as given."""

    def __init__(self, items: list[tuple[np.ndarray, Any]]) -> None:
        self.items = items

    @property
    def lengths(self) -> list[int]:
        return [len(inputs) for inputs, _ in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.items[index]


ZEROS = Items([(np.zeros((1, 2), np.float32), 0)])


def run(network: Any, examples: Any, config: Fit, folder: Path, seed: int = 3) -> Curves:
    return fit(network, examples, config, seed=seed, device="cpu", checkpoint=folder / "fit.pt")


class Pictures:
    """Noisy pictures whose brightness tells the class."""

    def __init__(self, count: int = 13, die_after: int | None = None, bad: int | None = None) -> None:
        self.labels = np.random.default_rng(1).integers(0, CLASSES, count).tolist()
        self.die_after, self.bad, self.read = die_after, bad, 0

    @property
    def lengths(self) -> list[int]:
        return [2] * len(self)

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, Any]:
        if index == self.bad:
            raise InputError(f"picture {index} is bad")
        if self.read == self.die_after:
            raise KeyboardInterrupt
        self.read += 1
        return rng.integers(0, 40, (2, 6, 6, 3)).astype(np.uint8) + 60 * self.labels[index], self.labels[index]


class PicturesNetwork(nn.Module):
    """A convolution and a linear layer; what was given is on its way through uint8."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.drop, self.out = nn.Conv2d(3, 4, 3), nn.Dropout(dropout), nn.Linear(4, CLASSES)

    def forward(self, pictures: Tensor, lengths: Tensor) -> Tensor:
        assert pictures.dtype == torch.uint8
        maps = self.first(pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 100).relu().mean((2, 3))
        scores: Tensor = self.out(self.drop(maps)).unflatten(0, pictures.shape[:2]).mean(1)
        return scores

    def loss(self, pictures: Tensor, lengths: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        scores = self(pictures, lengths)
        return nn.functional.cross_entropy(scores, targets), scores
