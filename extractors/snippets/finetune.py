"""Fine-tunes a network on snippets of the training videos."""

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
    network: "nn.Module", examples: "TrainingSnippets", config: Finetuning, *, seed: int, device: str, checkpoint: Path
) -> "Curves":
    """``pipeline.training.loop.fit`` with pictures channels last, and this process's share of threads and GPUs."""
    import cv2
    import torch

    from pipeline.training.loop import fit

    # from the CPU: processes that share a training get a copy, which must not come to lie on one GPU
    network.to("cpu").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes = torch.cuda.device_count() if device == "cuda" else 1
    # on a CPU threads compute, beside a GPU they read
    loaders = max(1, torch.get_num_threads() // processes) if device == "cuda" else 0
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
            loaders=loaders,
            processes=processes,
        )
    finally:
        cv2.setNumThreads(threads)


def on_cpu(state: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The same tensors, ready to be saved."""
    return {name: weight.cpu() for name, weight in state.items()}
