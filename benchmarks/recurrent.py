"""The dRNN's recurrence against torch's LSTM of the same sizes: ``python benchmarks/recurrent.py [--json]``.

Both take their turns in one process on the same inputs, time first. The LSTM's outputs are its hidden states, the
dRNN's its z: as many as there are classes, or as states where the read-out is linear. Training is forward and backward
from the last step to all weights. Times are the best of all rounds; a ratio above 1 means that ours is faster.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sequence_models.drnn import DRNN
from sequence_models.networks.recurrence import unroll

BATCH, TIME, FEATURES, STATE, CLASSES = 32, 50, 450, 300, 6
CASES = {"dRNN-2": (2, "literal"), "dRNN-0": (0, "literal"), "dRNN-2, linear read-out": (2, "linear")}

Run = Callable[[], object]


def runs(outputs: Callable[[], Tensor], weights: list[Tensor]) -> tuple[Run, Run]:
    """A training step and an inference."""

    def train() -> object:
        return torch.autograd.grad(outputs()[-1].square().mean(), weights)

    return train, torch.inference_mode()(outputs)


def seconds(sides: dict[str, Run], rounds: int, device: str) -> dict[str, float]:
    """The best time of each, by turns, each once more beforehand so that it finds its own data in the caches."""
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


def compare(device: str, rounds: int) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    inputs = torch.randn(TIME, BATCH, FEATURES, device=device)
    lstm = nn.LSTM(FEATURES, STATE).to(device)
    sides = {"peer": runs(lambda: lstm(inputs)[0], list(lstm.parameters()))}
    for name, (order, readout) in CASES.items():
        network: Any = DRNN(order=order, state=STATE, readout=readout).network(FEATURES, CLASSES).to(device)
        weights = network.recurrence()
        sides[name] = runs(lambda weights=weights: unroll(inputs, weights, "dos"), list(weights))
    rows = []
    for place, what in enumerate(("training step", "inference")):
        best = seconds({name: both[place] for name, both in sides.items()}, rounds, device)
        for name in CASES:
            row = {
                "name": f"{name}, {what} on {device}; nn.LSTM",
                "ours": round(best[name] * 1e3, 3),
                "peer": round(best["peer"] * 1e3, 3),
                "ratio": round(best["peer"] / best[name], 3),
                "unit": "ms",
                "sizes": f"batch {BATCH}, {TIME} steps, {FEATURES} features, {STATE} states, {CLASSES} classes",
                "threads": torch.get_num_threads(),
            }
            rows.append(row)
    return rows


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    for row in rows:
        line = "{name:62} {ours:8.2f} {peer:8.2f} {unit}  ratio {ratio:5.2f}  (threads: {threads}; {sizes})"
        print(json.dumps(row) if as_json else line.format(**row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        show(compare(device, options.rounds), options.json)


if __name__ == "__main__":
    main()
