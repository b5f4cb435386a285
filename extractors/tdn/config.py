"""Configuration of temporal difference networks: scores of a few snippets by their images and their differences."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, NetworkExtraction, Prepared, Row
from extractors.snippets.config import Backbone, SnippetExtractor
from extractors.snippets.finetuning import Finetuning
from extractors.tdn.difference_places import LAYERS
from extractors.tdn.training import FittedTDN, JointFinetuning
from extractors.tsn.config import TSN
from pipeline.config import Seed, Size, unknown
from pipeline.training.prefetch import stacks

if TYPE_CHECKING:
    from extractors.snippets.sources import Pictures
    from extractors.tdn.inference import TDNFeatureExtractor

_BATCH = 50  # pictures that are computed at once, about


class TDNBackbone(Backbone):
    """Two image networks of one architecture that start from the same weights, and how they are trained.

    Notes
    -----
    ``fit.segments`` is s of the paper: the number of snippets of a training example, and of a clip at test time.

    References
    ----------
    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), sections 3 and 4.1.
    """

    backbone: Literal["resnet50", "squeezenet1_0"] = Field(description="architecture: ResNet-50 or SqueezeNet 1.0")
    fit: Finetuning = Field(description="phase 1, in which the backbone of the image network is frozen")
    joint: JointFinetuning = Field(description="phase 2, in which everything learns")
    layers: str = Field(
        "",
        description="the last place where differences are added (table 4), by default the last that the backbone has; "
        "input: nowhere, the differences of the images are all that the difference network sees",
    )
    conv1_at: Literal["56", "112"] = Field(
        "56", description="add the differences of conv1 after its pooling (56) or before it (112): pixels in ResNet-50"
    )
    start: TSN | None = Field(
        None, description="temporal segment network that is trained first and gives the image network its backbone"
    )

    @model_validator(mode="before")
    @classmethod
    def _all_layers(cls, table: Any) -> Any:
        places = LAYERS.get(str(table.get("backbone"))) if isinstance(table, Mapping) else None
        return {"layers": places[-1], **table} if places else table

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: of ``start`` how it is trained, not how it is tested."""
        trained = self.start.fitted if self.start else None
        return super().significant(digest) | {"start": trained.significant(digest) if trained else None}

    @model_validator(mode="after")
    def _differences_exist(self) -> Self:
        if self.layers not in LAYERS[self.backbone]:
            raise ValueError(unknown(f"layers of {self.backbone}", self.layers, LAYERS[self.backbone]))
        if self.fit.segments < 2:
            raise ValueError("fit.segments must be at least 2: one snippet has no difference")
        return self


class TDN(SnippetExtractor):
    """Scores and features of clips of a few snippets each, by their images and by how these change.

    Raises
    ------
    UnusableVideo
        Where a video is shorter than a snippet.

    Notes
    -----
    A row holds, for each clip, averaged over its snippets or differences and over crops,

    - ``image_scores`` and ``difference_scores`` (time, class), of type ``dtype``: each subnetwork's scores before the
      softmax;
    - ``scores`` (time, class), of type ``dtype``: the mean of both;
    - ``features`` (time, 2·dim), of type ``dtype``: pooled features of images, then of differences;
    - ``snippet_frames`` (time, segment), int64: first frame of each snippet;
    - ``start_frames`` (time,), int64: the first of these;
    - ``times`` and ``ends`` (time,), float64: when the first snippet begins and the last ends, in seconds.

    A snippet is one frame ("rgb"), or five consecutive flows ("flow"); a clip has a snippet from each of
    ``network.fit.segments`` equal parts of the video, at random places. Videos of the same length get the same places.
    Clips are ordered by their first snippets.

    References
    ----------
    Ng and Davis, *Temporal Difference Networks for Video Action Recognition* (WACV 2018), sections 3 and 4.1.
    """

    name: Literal["tdn"] = "tdn"

    modality: Literal["rgb", "flow"] = Field("rgb", description="what a snippet is made of: a frame, or optical flow")
    network: TDNBackbone = Field(description="image networks; network.start is needed for flow")
    clips: Size = Field(25, description="number of clips drawn from a video")
    clip_seed: Seed = Field(0, description="seed of that draw")

    @model_validator(mode="after")
    def _starts_from_the_same(self) -> Self:
        start = self.network.start
        if start is None:
            if self.modality == "flow":
                raise ValueError(
                    "network.start is needed: the tsn of flow whose backbone the image network starts from"
                )
            return self
        if start.network.fit is None:
            raise ValueError("network.start must be fine-tuned: it needs a table network.fit")
        for what, own, given in (
            ("modality", self.modality, start.modality),
            ("backbone", self.network.backbone, start.network.backbone),
        ):
            if own != given:
                raise ValueError(f"network.start must have the same {what}, {own}, not {given}")
        return self

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"features", "scores"})

    @property
    def fitted(self) -> FittedTDN:
        network = self.network
        return FittedTDN(
            modality=self.modality,
            backbone=network.backbone,
            weights=network.weights,
            crop=self.crop,
            layers=network.layers,
            conv1_at=network.conv1_at,
            fit=network.fit,
            joint=network.joint,
            seed=network.seed,
        )

    @property
    def started_from(self) -> TSN | None:
        return self.network.start

    def seeded(self, seed: int) -> Self:
        start = self.network.start and self.network.start.seeded(seed)
        network = self.network.model_copy(update={"seed": self.network.seed + seed, "start": start})
        return self.model_copy(update={"network": network})

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Load the trained network."""
        from extractors.tdn.inference import TDNFeatureExtractor

        (state,) = states.values()
        feature_extractor = TDNFeatureExtractor(self.fitted.build, state, device)
        return NetworkExtraction(partial(_prepare, self), feature_extractor, partial(_finish, self, feature_extractor))

    def starts(self, length: int) -> np.ndarray:
        """Return the first pictures (clips, segment) int64 of the snippets of a video of ``length`` frames or flows."""
        from pipeline.video.sampling import segment_random

        rng, segments = np.random.default_rng(self.clip_seed), self.network.fit.segments
        drawn = np.stack([segment_random(length, segments, rng, span=self.span) for _ in range(self.clips)])
        return drawn[np.argsort(drawn[:, 0], kind="stable")]


def snippets_at(config: TDN, pictures: "Pictures", starts: np.ndarray) -> Iterator[np.ndarray]:
    """Read clips and crop them.

    Parameters
    ----------
    config : TDN
    pictures : Pictures
    starts : ndarray of int64, shape (clips, segment)
        First picture of each snippet.

    Yields
    ------
    ndarray of uint8, shape (crops, segment, side, side, channel)
        A clip's crops.
    """
    needed = np.unique(starts)
    snippets = dict(zip(needed.tolist(), pictures.snippets(needed, config.span), strict=True))
    for clip in starts.tolist():
        yield np.stack([config.cropped(snippets[start]) for start in clip], axis=1)


def over_frames(
    config: TDN, source: Clip | Sequence[Row], file: Clip, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre crops of one clip twice: as the network's input, and in RGB for display.

    Parameters
    ----------
    config : TDN
    source : Clip or sequence of Row
        What the network's input comes from: the video file, or stored rows of flow.
    file : Clip
        The video file, for the RGB frames.
    frames : ndarray of int64, shape (segment,)
        First frame of each of the clip's snippets.

    Returns
    -------
    clip : ndarray of uint8, shape (segment, side, side, channel)
        Input of the network: each snippet's pictures stacked along the channels.
    shown : ndarray of uint8, shape (segment, side, side, 3)
        RGB frame at the start of each snippet.
    """
    from extractors.snippets.sources import of_video

    centred = config.model_copy(update={"crops": 1})
    seen = next(centred.sources(source))
    starts = np.searchsorted(seen.first_frames, frames)
    (clip,) = next(snippets_at(centred, seen, starts[None]))
    if config.flow is None:
        return clip, clip
    height, width = next(seen.read(starts[:1].tolist())).shape[:2]
    numbers: list[int] = np.unique(frames).tolist()
    whole = dict(zip(numbers, of_video(file, None, (width, height)).read(numbers), strict=True))
    return clip, np.concatenate([centred.cropped(whole[frame]) for frame in frames.tolist()])


def _prepare(config: TDN, source: Clip | Sequence[Row]) -> Iterator[Prepared]:
    at_once = max(1, _BATCH // config.network.fit.segments)
    for pictures in config.sources(source):
        starts = config.starts(len(pictures.first_frames))
        frames = pictures.first_frames[starts]
        yield from stacks((crop for clip in snippets_at(config, pictures, starts) for crop in clip), at_once)
        spans = pictures.clock.spans(starts[:, 0], starts[:, -1] + config.span - 1)
        yield Row({"snippet_frames": frames, "start_frames": frames[:, 0].copy(), **spans}, pictures.attributes)


def _finish(config: TDN, feature_extractor: "TDNFeatureExtractor", described: list[np.ndarray], row: Row) -> Row:
    """Average the features of each clip's crops, and add the scores of both subnetworks and of their mean."""
    features = np.concatenate(described).reshape(len(row["start_frames"]), config.crops, -1).mean(axis=1)
    images, changes = feature_extractor.classify(features)  # linear: scores of the mean are the mean of scores
    scores = {"scores": (images + changes) / 2, "image_scores": images, "difference_scores": changes}
    arrays = {name: array.astype(config.dtype) for name, array in {"features": features, **scores}.items()}
    return Row({**arrays, **row.arrays}, row.attributes)
