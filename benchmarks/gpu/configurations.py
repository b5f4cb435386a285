"""Configurations of the extractors that are measured, with weights drawn at random where they need any."""

import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from extractors.backbones.registry import BACKBONES
from extractors.base import Extractor
from extractors.c3d.config import C3D
from extractors.c3d.network import C3DNetwork
from extractors.tsn.config import TSN
from extractors.tvl1.config import TVL1

TABLES: dict[str, tuple[type[Extractor], dict[str, Any]]] = {
    "ResNet-50, 10 crops": (TSN, {"network": {"backbone": "resnet50"}, "crops": 10}),
    "ResNet-50, 1 crop": (TSN, {"network": {"backbone": "resnet50"}, "crops": 1}),
    "BN-Inception, 10 crops": (TSN, {"network": {"backbone": "bn_inception"}, "crops": 10}),
    "C3D": (C3D, {"weights": "c3d"}),
    "TV-L1": (TVL1, {}),
}
SMALL = {TSN: {"snippets": 1}, C3D: {}, TVL1: {"size_px": (40, 32), "scales": 1, "warps": 1, "epsilon": 0.5}}
"""Fields that make an extractor quick on a CPU."""


def extractor(name: str, *, small: bool) -> Extractor:
    """Return a configuration by its name in ``TABLES``."""
    kind, table = TABLES[name]
    table = {**table, **(SMALL[kind] if small else {})}
    if "network" in table:
        table["network"] = {**table["network"], "weights": random_weights(table["network"]["backbone"])}
    if "weights" in table:
        table["weights"] = random_weights(table["weights"])
    return kind.model_validate(table)


def random_weights(kind: str) -> str:
    """Return a file of weights that were drawn at random, for a backbone or "c3d"."""
    file = Path(os.environ["WORK"]) / f"{kind}.safetensors"
    if not file.exists():
        torch.manual_seed(0)
        network = C3DNetwork() if kind == "c3d" else BACKBONES[kind](channels=3)
        save_file(network.state_dict(), file)
    return str(file)
