"""Configuration of the 3D-ConvNet: spatio-temporal features of windows of nine frames around a person."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Extract, Extractor, FittedNetwork, Labelled, NetworkExtraction, Prepared, Row
from extractors.clock import Clock
from extractors.convnet3d.person_boxes import PersonBoxes
from pipeline.config import Count
from pipeline.errors import InputError, UnusableVideo
from pipeline.training.config import Fit

if TYPE_CHECKING:
    import torch

    from pipeline.training.batches import Item, Target
    from pipeline.training.curves import Curves

WINDOW_FRAMES = 9
"""Frames of a window."""
_BATCH = 64  # windows that are computed at once


class ConvNet3DNetwork(FittedNetwork):
    """The 3D-ConvNet's weights, trained on the windows of the training videos.

    Notes
    -----
    The paper trains by online back-propagation with momentum: a ``fit`` with optimiser "sgd" and batch 1 on every
    window. It names neither the rate nor the number of epochs.

    References
    ----------
    Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.3.
    """

    uses_gpu: ClassVar[bool] = True

    fit: Fit = Field(description="optimiser, schedule and stopping rule")
    stride_frames: Count = Field(1, description="frames between the starts of training windows")
    mirror: bool = Field(True, description="train on the mirrored copies, too")
    flip: bool = Field(False, description="train on copies turned upside down, too")

    def train(self, material: Labelled, *, device: str, checkpoint: Path) -> "tuple[dict[str, torch.Tensor], Curves]":
        """Train on rows of person boxes. Raise InputError where they hold no window with a person."""
        from extractors.convnet3d.network import ConvNet
        from pipeline.training.loop import fit
        from pipeline.training.random_state import seeded

        examples = Windows(material, stride_frames=self.stride_frames, mirror=self.mirror, flip=self.flip)
        with seeded(self.seed):
            network = ConvNet(material.classes)
        curves = fit(network, examples, self.fit, seed=self.seed, device=device, checkpoint=checkpoint)
        return {name: weight.cpu() for name, weight in network.state_dict().items()}, curves


class ConvNet3D(Extractor):
    """Features and scores of the 3D-ConvNet for windows of nine frames around a person.

    Raises
    ------
    UnusableVideo
        Where a clip has fewer than nine frames, or no window with a person in it.

    Notes
    -----
    A row holds, for each window in which a person is present in at least one frame,

    - ``features`` (time, 120), float32: outputs of C3;
    - ``scores`` (time, class), float32: logits;
    - ``start_frames`` (time,), int64: the window's first frame;
    - ``times`` and ``ends`` (time,), float64: when the window begins and ends, in seconds.

    There is a row for each row of person boxes.

    References
    ----------
    Baccouche et al., *Sequential Deep Learning for Human Action Recognition* (HBU 2011), section 2.
    """

    name: Literal["convnet3d"] = "convnet3d"
    uses_gpu: ClassVar[bool] = True

    boxes: PersonBoxes = Field(PersonBoxes(), description="person boxes that the windows are cut from")
    network: ConvNet3DNetwork = Field(description="training of the network")
    stride_frames: Count = Field(1, description="frames between the starts of windows")

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
    def gives(self) -> frozenset[str]:
        return frozenset({"features", "scores"})

    @property
    def fitted(self) -> ConvNet3DNetwork:
        return self.network

    def seeded(self, seed: int) -> Self:
        network = self.network.model_copy(update={"seed": self.network.seed + seed})
        return self.model_copy(update={"network": network})

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        from extractors.convnet3d.network import describe, load

        (state,) = states.values()
        return NetworkExtraction(partial(_prepare, self.stride_frames), partial(describe, load(state, device)), _finish)


class Windows:
    """Training examples: windows (9, 54, 34) of all cuboids, which are held in memory as they are stored.

    Parameters
    ----------
    material : Labelled
        Rows of person boxes.
    stride_frames : int
        Frames between the starts of windows.
    mirror, flip : bool
        Whether mirrored copies, and copies turned upside down, are examples, too.

    Raises
    ------
    InputError
        Where no window has a person in it.
    """

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
        """Number of frames of each window."""
        return [WINDOW_FRAMES] * len(self)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> "Item":
        cuboid, start, flipped = self.places[index]
        window = self.cuboids[cuboid][start : start + WINDOW_FRAMES].astype(np.float32)
        return window[:, ::-1] if flipped else window, self.labels[cuboid]


def window_starts(present: np.ndarray, stride_frames: int) -> np.ndarray:
    """Return the starts of the windows of a clip in which a person is present.

    Parameters
    ----------
    present : ndarray of bool, shape (time,)
        Whether there is a person in each frame.
    stride_frames : int
        Frames between the starts of windows.

    Returns
    -------
    ndarray of int64, shape (windows,)
        Starts of windows that lie in the clip and have a person in at least one frame.

    Examples
    --------
    >>> present = np.arange(12) == 11
    >>> window_starts(present, 1)
    array([3])
    """
    starts = np.arange(0, len(present) - WINDOW_FRAMES + 1, stride_frames)
    seen = np.concatenate(([0], np.cumsum(present)))
    return starts[seen[starts + WINDOW_FRAMES] > seen[starts]]


def _prepare(stride_frames: int, rows: Sequence[Row]) -> Iterator[Prepared]:
    for row in rows:
        cuboid, present = row.arrays["cuboid"], row.arrays["present"]
        if len(cuboid) < WINDOW_FRAMES:
            raise UnusableVideo(f"{len(cuboid)} frames; the 3D-ConvNet needs {WINDOW_FRAMES}", len(cuboid))
        starts = window_starts(present, stride_frames)
        if not len(starts):
            raise UnusableVideo(f"no window of {WINDOW_FRAMES} frames has a person in it", len(cuboid))
        yield from _batches(cuboid, starts)
        spans = Clock.of_row(row).spans(starts, starts + WINDOW_FRAMES - 1)
        yield Row({"start_frames": starts, **spans}, dict(row.attributes))


def _finish(described: list[tuple[np.ndarray, np.ndarray]], row: Row) -> Row:
    features, scores = map(np.concatenate, zip(*described, strict=True))
    return Row({"features": features, "scores": scores, **row.arrays}, row.attributes)


def _batches(cuboid: np.ndarray, starts: np.ndarray) -> Iterator[np.ndarray]:
    """Cut windows out of a cuboid, batch by batch."""
    for first in range(0, len(starts), _BATCH):
        frames = starts[first : first + _BATCH, None] + np.arange(WINDOW_FRAMES)
        yield cuboid[frames].astype(np.float32)  # (batch, 9, 54, 34)
