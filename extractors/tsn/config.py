"""Configuration of temporal segment networks: features of short snippets, spread over the whole video."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from extractors.base import Clip, Extract, NetworkExtraction, Prepared, Row
from extractors.snippets.config import SnippetExtractor
from extractors.tsn.training import FittedTSN
from pipeline.config import Count, Size
from pipeline.training.prefetch import stacks

if TYPE_CHECKING:
    from extractors.tsn.inference import SnippetFeatureExtractor

_BATCH = 50  # crops that are computed at once: five snippets of ten


class TSN(SnippetExtractor):
    """Pooled features of snippets, and scores where the network is fine-tuned, spread over the whole video.

    Raises
    ------
    UnusableVideo
        Where a clip has fewer frames or flows than a snippet.

    Notes
    -----
    A row holds

    - ``features`` (time, dim), of type ``dtype``: pooled features of each snippet, averaged over crops; ``dim`` is
      2048 with ResNet-50, 1024 with BN-Inception and 512 with SqueezeNet 1.0;
    - ``scores`` (time, class), of type ``dtype``, where the network is fine-tuned: its classifier's scores before the
      softmax, averaged over crops;
    - ``start_frames`` (time,), int64: first frame of each snippet, counted alike for RGB and flow;
    - ``times`` and ``ends`` (time,), float64: when each snippet begins and ends, in seconds.

    A snippet is one frame ("rgb"), five consecutive flows, x and y by turns ("flow"), or the five differences of six
    consecutive frames ("rgb_diff"). In the mirror images of the ten crops, x of a flow changes its sign. A classifier
    in weights that are used as they are is left out.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016), section 3.1.
    """

    name: Literal["tsn"] = "tsn"

    snippets: Size | None = Field(
        25, description="number of equal segments of the clip, each with a snippet at its centre"
    )
    stride_frames: Count | None = Field(
        None, description="frames between the starts of two snippets, instead of snippets"
    )

    @model_validator(mode="before")
    @classmethod
    def _stride_instead_of_snippets(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or table.get("stride_frames") is None:
            return table
        return {"snippets": None, **table}

    @model_validator(mode="after")
    def _one_sampling(self) -> Self:
        if (self.snippets is None) == (self.stride_frames is None):
            raise ValueError("give either snippets or stride_frames")
        if self.stride_frames and self.every_s:
            raise ValueError("stride_frames counts all frames: leave out either stride_frames or every_s")
        if self.flow and self.stride_frames and self.stride_frames % self.flow.stride_frames:
            raise ValueError(f"stride_frames must be a multiple of the flow's, {self.flow.stride_frames}")
        return self

    @property
    def gives(self) -> frozenset[str]:
        return super().gives | ({"scores"} if self.network.fit else set())

    @property
    def fitted(self) -> FittedTSN | None:
        network = self.network
        if network.fit is None:
            return None
        return FittedTSN(
            modality=self.modality,
            backbone=network.backbone,
            weights=network.weights,
            crop=self.crop,
            fit=network.fit,
            seed=network.seed,
        )

    def check_files(self) -> None:
        super().check_files()
        if self.network.fit is None:
            from extractors.tsn.inference import pretrained_state

            pretrained_state(self.network.backbone, self.modality, Path(self.network.weights))

    def _build(self, device: str, states: Mapping[str, Path]) -> Extract:
        """Load the fine-tuned network, or ``network.weights``, which must be the path of a file."""
        from extractors.tsn.inference import SnippetFeatureExtractor

        backbone, weights = self.network.backbone, Path(self.network.weights)
        if states:
            (state,) = states.values()
            feature_extractor = SnippetFeatureExtractor.trained(backbone, self.modality, state, device)
        else:
            feature_extractor = SnippetFeatureExtractor.pretrained(backbone, self.modality, weights, device)
        return NetworkExtraction(partial(_prepare, self), feature_extractor, partial(_finish, self, feature_extractor))

    def starts(self, length: int) -> np.ndarray:
        """Return the first pictures (time,) int64, rising, of the snippets of a clip of ``length`` frames or flows."""
        from pipeline.video.sampling import segment_centres, windows

        if self.snippets is not None:
            return segment_centres(length, self.snippets, self.span)
        assert self.stride_frames is not None
        return windows(length, self.span, self.stride_frames // (self.flow.stride_frames if self.flow else 1))


def _prepare(config: TSN, source: Clip | Sequence[Row]) -> Iterator[Prepared]:
    for pictures in config.sources(source):
        starts = config.starts(len(pictures.first_frames))
        snippets = pictures.snippets(starts, config.span)
        yield from stacks((image for snippet in snippets for image in config.cropped(snippet)), _BATCH)
        spans = pictures.clock.spans(starts, starts + config.span - 1)
        yield Row({"start_frames": pictures.first_frames[starts], **spans}, pictures.attributes)


def _finish(config: TSN, feature_extractor: "SnippetFeatureExtractor", described: list[np.ndarray], row: Row) -> Row:
    """Average the features of each snippet's crops, and classify the means where there is a classifier."""
    features = np.concatenate(described).reshape(len(row["start_frames"]), config.crops, -1).mean(axis=1)
    arrays = {"features": features.astype(config.dtype)}
    if config.network.fit:  # the classifier is linear: scores of the mean are the mean of scores
        arrays["scores"] = feature_extractor.classify(features).astype(config.dtype)
    return Row({**arrays, **row.arrays}, row.attributes)
