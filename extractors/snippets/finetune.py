"""Fine-tunes networks on snippets of the training videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from extractors.snippets.finetuning import Finetuning

if TYPE_CHECKING:
    import torch
    from torch import nn

    from extractors.snippets.training_data import TrainingSnippets
    from pipeline.training.curves import Curves


def finetune(
    network: "nn.Module",
    examples: "TrainingSnippets",
    config: Finetuning,
    *,
    seed: int,
    device: str,
    checkpoint: Path,
    loaders: int = 0,
) -> "Curves":
    """Train a network in place with ``pipeline.training.loop.fit``, on all GPUs that there are.

    Parameters
    ----------
    network : nn.Module
        With a method ``loss``; it is moved to the CPU and to the memory format "channels last" first.
    examples : TrainingSnippets
    config : Finetuning
    seed : int
        Seed of the order of examples and of their augmentation.
    device : str
        "cpu" or "cuda".
    checkpoint : Path
        File from which a training that was killed continues.
    loaders : int
        Number of processes that read snippets, for all GPUs together; 0 for a thread beside each.

    Returns
    -------
    Curves
        Loss and accuracy, epoch by epoch.
    """
    import cv2
    import torch

    from pipeline.training.loop import fit

    # from the CPU: processes that share a training get a copy, which must not come to lie on one GPU
    network.to("cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes = torch.cuda.device_count() if device == "cuda" else 1
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # training pictures are small: OpenCV's threads would only keep torch's waiting
    try:
        return fit(
            network,  # type: ignore[arg-type]  # with a loss
            examples,
            config,
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            loaders=-(-loaders // processes),
            processes=processes,
        )
    finally:
        cv2.setNumThreads(threads)


def on_cpu(state: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Return the same tensors on the CPU, ready to be saved."""
    return {name: weight.cpu() for name, weight in state.items()}
