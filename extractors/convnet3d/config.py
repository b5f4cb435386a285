"""The 3D-ConvNet: spatio-temporal features of windows of nine frames around a person."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from extractors.base import Extract, Extractor, FittedNetwork, Labelled, Row
from extractors.convnet3d.person_boxes import PersonBoxes
from pipeline.errors import InputError, UnusableVideo
from pipeline.training.config import Fit

if TYPE_CHECKING:
    import torch

    from extractors.convnet3d.network import ConvNet
    from pipeline.training.batches import Item, Target
    from pipeline.training.curves import Curves

WINDOW_FRAMES = 9
_BATCH = 64  # windows that are computed at once


class ConvNet3DNetwork(FittedNetwork):
    """The 3D-ConvNet's weights, trained on the windows of the training videos.

    The paper trains by online back-propagation with momentum (section 2.3): a ``fit`` with optimiser "sgd" and batch 1
    on every window; it names neither the rate nor the number of epochs.
    """

    fit: Fit
    stride_frames: PositiveInt = Field(1, description="between the starts of training windows")
    mirror: bool = Field(True, description="train on the mirrored copies, too")
    flip: bool = Field(False, description="train on copies turned upside down, too")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        from extractors.convnet3d.network import ConvNet
        from pipeline.training.loop import fit
        from pipeline.training.random_state import seeded

        examples = Windows(material, stride_frames=self.stride_frames, mirror=self.mirror, flip=self.flip)
        with seeded(self.seed):
            network = ConvNet(material.classes)
        curves = fit(network, examples, self.fit, seed=self.seed, device=device, checkpoint=checkpoint)
        return {name: weight.cpu() for name, weight in network.state_dict().items()}, curves


class ConvNet3D(Extractor):
    """Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.

    A row of person boxes leads to a row with ``features (time, 120)``, the outputs of C3; ``scores (time, class)``,
    the network's logits; and ``start_frames (time,)``, one for each window of nine frames, ``stride_frames`` apart.
    A window is left out if a person is present in none of its frames.
    Raises UnusableVideo where a clip has fewer than nine frames, or a person in none of its windows.
    """

    name: Literal["convnet3d"] = "convnet3d"
    uses_gpu: ClassVar[bool] = True

    boxes: PersonBoxes = PersonBoxes()
    network: ConvNet3DNetwork
    stride_frames: PositiveInt = 1

    @model_validator(mode="after")
    def _mirrored_copies_exist(self) -> Self:
        if self.network.mirror and not self.boxes.mirror:
            raise ValueError("network.mirror needs mirrored copies: set network.mirror = false or boxes.mirror = true")
        return self

    @property
    def variants(self) -> int:
        return self.boxes.variants

    @property
    def upstream(self) -> PersonBoxes:
        return self.boxes

    @property
    def fitted(self) -> ConvNet3DNetwork:
        return self.network

    def seeded(self, seed: int) -> Self:
        network = self.network.model_copy(update={"seed": self.network.seed + seed})
        return self.model_copy(update={"network": network})

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        from extractors.convnet3d.network import load

        (state,) = states.values()
        return partial(_extract, load(state, device), self.stride_frames)


class Windows:
    """Training examples: windows (9, 54, 34) of all cuboids, which are held in memory as they are stored."""

    def __init__(self, material: Labelled, *, stride_frames: int, mirror: bool, flip: bool) -> None:
        self.cuboids: list[np.ndarray] = []
        self.labels: list[Target] = []
        places: list[np.ndarray] = [np.empty((0, 3), np.int64)]
        for row, label in zip(material.rows, material.labels, strict=True):
            if row.attributes["mirrored"] and not mirror:
                continue
            starts = window_starts(row.arrays["present"], stride_frames)
            for flipped in range(1 + flip):
                places.append(np.stack(np.broadcast_arrays(len(self.cuboids), starts, flipped), axis=1))
            self.cuboids.append(row.arrays["cuboid"])
            self.labels.append(label)
        self.places = np.concatenate(places)  # (windows, 3): cuboid, start, flipped
        if not len(self.places):
            raise InputError(f"the training videos hold no window of {WINDOW_FRAMES} frames with a person in it")

    @property
    def lengths(self) -> list[int]:
        return [WINDOW_FRAMES] * len(self)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> "Item":
        cuboid, start, flipped = self.places[index]
        window = self.cuboids[cuboid][start : start + WINDOW_FRAMES].astype(np.float32)
        return window[:, ::-1] if flipped else window, self.labels[cuboid]


def window_starts(present: np.ndarray, stride_frames: int) -> np.ndarray:
    """Starts, every ``stride_frames``, of the windows that lie in the clip and see a person in at least one frame."""
    starts = np.arange(0, len(present) - WINDOW_FRAMES + 1, stride_frames)
    seen = np.concatenate(([0], np.cumsum(present)))
    return starts[seen[starts + WINDOW_FRAMES] > seen[starts]]


def _extract(network: "ConvNet", stride_frames: int, rows: Sequence[Row]) -> Iterator[Row]:
    from extractors.convnet3d.network import describe

    for row in rows:
        cuboid, present = row.arrays["cuboid"], row.arrays["present"]
        if len(cuboid) < WINDOW_FRAMES:
            raise UnusableVideo(f"{len(cuboid)} frames; the 3D-ConvNet needs {WINDOW_FRAMES}", len(cuboid))
        starts = window_starts(present, stride_frames)
        if not len(starts):
            raise UnusableVideo(f"no window of {WINDOW_FRAMES} frames has a person in it", len(cuboid))
        features, scores = describe(network, _batches(cuboid, starts))
        yield Row({"features": features, "scores": scores, "start_frames": starts}, dict(row.attributes))


def _batches(cuboid: np.ndarray, starts: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(starts), _BATCH):
        frames = starts[first : first + _BATCH, None] + np.arange(WINDOW_FRAMES)
        yield cuboid[frames].astype(np.float32)  # (batch, 9, 54, 34)
