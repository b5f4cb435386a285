"""Sequence models: a training step and inference, on the device, on the CPU, and beside ``torch.nn.LSTM``."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from measuring import Measuring
from torch import Tensor, nn

from pipeline.training.precision import deterministic, fastest
from sequence_models.base import TrainedModel
from sequence_models.drnn import DRNN
from sequence_models.lstm import LSTM
from sequence_models.networks.recurrence import forward
from sequence_models.res_lstm import ResLSTM

CLASSES, FEATURES, STEPS = 11, 450, 50
MAX_ON_CPU = 2**22
"""Batch times width² beyond which the CPU is not asked: one thread would take minutes."""


def recurrent(on: Measuring) -> None:
    """Measure recurrent models; ``uses_gpu`` is what the rule in ``sequence_models.base`` decides, to be compared."""
    for batch in (2,) if on.small else (1, 32, 256):
        for width in (8,) if on.small else (50, 300, 1024):
            _peer(on, batch, width)
            for name, model in _models(width, batch).items():
                with on.guarded(model=name, batch=batch, width=width):
                    _compare(on, name, model, batch, width)
    if on.device == "cuda":
        with on.guarded(model="dRNN-2, one CUDA graph"):
            _graph(on, batch=32)


def _models(width: int, batch: int) -> dict[str, TrainedModel]:
    fit = {"epochs": 1, "batch": batch}
    return {
        "dRNN-2": DRNN.model_validate({"state": width, "fit": fit}),
        "dRNN-2, linear": DRNN.model_validate({"state": width, "readout": "linear", "fit": fit}),
        "Res-LSTM": ResLSTM.model_validate({"residual": False, "hidden": width, "layers": 1, "fit": fit}),
        "LSTM, no forget gate": LSTM.model_validate({"hidden": width, "forget_gate": False, "fit": fit}),
    }


def _compare(on: Measuring, name: str, model: TrainedModel, batch: int, width: int) -> None:
    """Say what a model takes on the device and on the CPU."""
    steps = 5 if on.small else STEPS
    inputs, lengths = torch.randn(batch, steps, FEATURES), torch.full((batch,), steps)
    targets = torch.randint(CLASSES, (batch,))
    found: dict[str, float] = {}
    sides = {"": on.device, "cpu_": "cpu"} if batch * width**2 <= MAX_ON_CPU else {"": on.device}
    for side, device in sides.items():
        network = model.network(FEATURES, CLASSES).to(device)
        given = [tensor.to(device) for tensor in (inputs, lengths, targets)]
        loss, scores = partial(_loss, network, *given), partial(network, *given[:2])
        found |= _times(on, side, loss, scores, list(network.parameters()))
    on.say(model=name, batch=batch, width=width, **found, uses_gpu=model.uses_gpu)


def _loss(network: Any, *given: Tensor) -> Tensor:
    return network.loss(*given)[0]


def _peer(on: Measuring, batch: int, width: int) -> None:
    """Say the same of ``torch.nn.LSTM``, cuDNN's on a GPU, without any read-out."""
    inputs = torch.randn(batch, 5 if on.small else STEPS, FEATURES, device=on.device)
    lstm = nn.LSTM(FEATURES, width, batch_first=True).to(on.device)
    loss, scores = (lambda: lstm(inputs)[0][:, -1].square().mean()), (lambda: lstm(inputs))
    times = _times(on, "", loss, scores, list(lstm.parameters()))
    on.say(model="torch.nn.LSTM", batch=batch, width=width, **times)


def _times(
    on: Measuring, side: str, loss: Callable[[], Tensor], scores: Callable[[], object], weights: list[nn.Parameter]
) -> dict[str, float]:
    """Return milliseconds of a training step and of inference, each at its precision."""

    def step() -> None:
        torch.autograd.grad(loss(), weights)

    with fastest(tf32=True):
        training_s = on.median_s(step, rounds=3, warm=1)
    with deterministic(), torch.inference_mode():
        inference_s = on.median_s(scores, rounds=3, warm=1)
    return {f"{side}training_ms": training_s * 1e3, f"{side}inference_ms": inference_s * 1e3}


def _graph(on: Measuring, batch: int) -> None:
    """Say what inference of a dRNN takes as one CUDA graph, and how far its numbers are off."""
    weights = DRNN().network(FEATURES, CLASSES).to("cuda").recurrence()
    inputs = torch.randn(STEPS, batch, FEATURES, device="cuda")
    run: Callable[[], Any] = partial(forward, inputs, weights, history=False)
    with torch.inference_mode():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = run().outputs
        graph.replay()
        on.wait()
        off = float((outputs - run().outputs).abs().max())
        on.say(model="dRNN-2, one CUDA graph", batch=batch, inference_ms=on.median_s(graph.replay, 20) * 1e3, off=off)
