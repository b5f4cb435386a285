"""Measures the dRNN's recurrence, against torch's LSTM of the same sizes.

    python benchmarks/recurrent.py [--json]

Both take their turns in one process on the same inputs, time first. The LSTM's outputs are its hidden states, the
dRNN's its z: as many as there are classes, or as states where the read-out is linear. Training is forward and backward
from the last step to all weights. Times are the best of all rounds; a ratio above 1 means that ours is faster.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from table import Comparison, Table, options
from torch import Tensor, nn

from sequence_models.drnn import DRNN
from sequence_models.networks.recurrence import unroll

BATCH, TIME, FEATURES, STATE, CLASSES = 32, 50, 450, 300, 6
CASES = {"dRNN-2": (2, "literal"), "dRNN-0": (0, "literal"), "dRNN-2, linear read-out": (2, "linear")}

Run = Callable[[], object]


def runs(outputs: Callable[[], Tensor], weights: list[Tensor]) -> tuple[Run, Run]:
    """Return functions that do a training step and an inference."""

    def train() -> object:
        return torch.autograd.grad(outputs()[-1].square().mean(), weights)

    return train, torch.inference_mode()(outputs)


def seconds(sides: dict[str, Run], rounds: int, device: str) -> dict[str, float]:
    """Return the best time of each, taken in turns; each runs once before it is timed, to fill the caches."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, run in sides.items():
            run()
            _wait(device)
            began = time.perf_counter()
            run()
            _wait(device)
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def compare(table: Table, device: str, rounds: int) -> None:
    """Add all lines of a device to the table."""
    torch.manual_seed(0)
    inputs = torch.randn(TIME, BATCH, FEATURES, device=device)
    lstm = nn.LSTM(FEATURES, STATE).to(device)
    sides = {"peer": runs(lambda: lstm(inputs)[0], list(lstm.parameters()))}
    for name, (order, readout) in CASES.items():
        network: Any = DRNN(order=order, state=STATE, readout=readout).network(FEATURES, CLASSES).to(device)
        weights = network.recurrence()
        sides[name] = runs(lambda weights=weights: unroll(inputs, weights, "dos"), list(weights))
    sizes = f"batch {BATCH}, {TIME} steps, {FEATURES} features, {STATE} states, {CLASSES} classes"
    for place, what in enumerate(("training step", "inference")):
        best = seconds({name: both[place] for name, both in sides.items()}, rounds, device)
        for name in CASES:
            milliseconds = (best[name] * 1e3, best["peer"] * 1e3)
            what_and_where = f"{name}, {what} on {device}; nn.LSTM"
            table.add(Comparison(what_and_where, *milliseconds, "ms", sizes, torch.get_num_threads()))


def main() -> None:
    given, table = options(__doc__ or "", threads=2, rounds=40)
    torch.set_num_threads(given.threads)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        compare(table, device, given.rounds)


if __name__ == "__main__":
    main()
