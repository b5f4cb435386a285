"""Small recurrences of the dRNN."""

import torch
from torch import Tensor

from sequence_models.networks.recurrence import Recurrence

SIZES = [(5, 4, 3, 3, 6), (7, 5, 5, 2, 4), (3, 9, 2, 1, 1), (2, 1, 1, 1, 3), (4, 21, 21, 3, 2), (6, 70, 17, 33, 3)]
"""(feature, state, output, batch, time); more than 16 outputs go another way than few, and so do blocks of inputs."""


def problem(
    sizes: tuple[int, ...] = SIZES[0], order: int = 2, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> tuple[Tensor, Recurrence, Tensor]:
    """Inputs, weights that want gradients, and a gradient of z."""
    n, m, k, batch, time = sizes
    generator = torch.Generator().manual_seed(2)

    def uniform(*shape: int) -> Tensor:
        values = 2 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 1
        return (values * shape[-1] ** -0.5).to(device, dtype).requires_grad_()

    seen, rows = (order + 1) * m + k, 3 * m + k
    weights = Recurrence(
        uniform(rows, n),
        uniform(rows),
        uniform(2 * m, seen),
        uniform(m, k),
        uniform(k, seen),
        uniform(k, m),
        uniform(k),
    )
    inputs = torch.randn(time, batch, n, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_()
    return inputs, weights, torch.randn(time, batch, k, generator=generator, dtype=torch.float64).to(device, dtype)
