"""What temporal segment networks and temporal difference networks share: which pictures they see, and at what size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from extractors.base import Clip, Extractor, FittedNetwork, Row
from extractors.frames import Frames, one_size
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.tvl1.config import TVL1
from pipeline.config import Config, File
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    import numpy as np

    from extractors.snippets.sources import Pictures


class Backbone(Config):
    """A pretrained image network; ``weights``: a file, or one of the names in ``extractors.weights.SOURCES``."""

    backbone: Literal["resnet50", "bn_inception", "squeezenet1_0"]
    weights: File
    fit: Finetuning | None = Field(None, description="on the training videos; None: the weights are used as they are")
    seed: NonNegativeInt = Field(0, description="of the fine-tuning")


class SnippetExtractor(Extractor):
    """An image network that looks at snippets: a frame, some consecutive flows, or differences of consecutive frames.

    No snippet crosses the end of a clip. Pictures are scaled to one short side or size, those of flow, too, whose
    vectors keep their lengths as in the code of Wang et al., *Temporal Segment Networks* (ECCV 2016). Of RGB not every
    frame need be looked at: with ``every_s`` a snippet's pictures follow each other at that distance.
    """

    uses_gpu: ClassVar[bool] = True
    added: ClassVar[frozenset[str]] = frozenset({"size_px", "every_s"})

    modality: Modality = "rgb"
    network: Backbone
    crops: Literal[1, 10] = 10
    short_side: PositiveInt | None = Field(256, description="pixels, of the scaled picture")
    size_px: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="width and height of the scaled frame instead; not for flow"
    )
    every_s: PositiveFloat | None = Field(
        None, description="seconds between the frames that are looked at, not for flow; None: all"
    )
    crop: PositiveInt = Field(224, description="pixels, of a crop's sides")
    flow: TVL1 | None = Field(None, description="of modality flow alone, which takes its defaults")
    frames: Frames | None = Field(
        None, description="what RGB or RGB difference is fine-tuned on; what it does not say is as looked at"
    )
    dtype: Literal["float16", "float32"] = "float32"

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, table: Any) -> Any:
        """The flow's defaults, and of the frames' table what is as this one says."""
        if not isinstance(table, Mapping):
            return table
        table = one_size(table)
        frames = table.get("frames")
        if isinstance(frames, Mapping):
            same = {name: table[name] for name in ("short_side", "size_px", "every_s") if name in table}
            if frames.keys() & {"short_side", "size_px"}:
                same = {"every_s": table.get("every_s")}
            table = {**table, "frames": {**same, **frames}}
        return {"flow": {}, **table} if table.get("modality") == "flow" else table

    @model_validator(mode="after")
    def _pictures_fit(self) -> Self:
        if (self.flow is None) == (self.modality == "flow"):
            raise ValueError("modality flow, and no other, needs a table flow")
        if self.flow and (self.size_px or self.every_s):
            raise ValueError("size_px and every_s are for frames: of flow set flow.size_px and flow.stride_frames")
        if self.frames and (self.flow or not self.network.fit):
            raise ValueError("frames are for fine-tuning on RGB or RGB difference: leave them out")
        if self.frames and self.frames.every_s != self.every_s:
            raise ValueError(f"frames.every_s must be that of the frames that are looked at, {self.every_s}")
        shorter = min(self.size_px) if self.size_px else self.short_side
        if shorter is None:
            raise ValueError("give either short_side or size_px")
        if self.crop > shorter:
            where = "size_px" if self.size_px else "a short_side"
            raise ValueError(f"a crop of {self.crop} needs {where} of as many pixels at least")
        if self.network.fit:
            self.network.fit.check(self.modality)
        return self

    @property
    def upstream(self) -> TVL1 | None:
        return self.flow

    @property
    def fitted_on(self) -> TVL1 | Frames | None:
        if self.fitted is None:
            return None
        looked_at = Frames(short_side=self.short_side, size_px=self.size_px, every_s=self.every_s)
        return self.flow or self.frames or looked_at

    @property
    def fitted(self) -> FittedNetwork | None:
        raise NotImplementedError

    def seeded(self, seed: int) -> Self:
        network = self.network.model_copy(update={"seed": self.network.seed + seed})
        return self.model_copy(update={"network": network})

    @property
    def span(self) -> int:
        """Pictures in a snippet."""
        return SNIPPETS[self.modality].pictures

    def sources(self, source: Clip | Sequence[Row]) -> "Iterator[Pictures]":
        """Of a clip, or of each of its rows of flow. Raises UnusableVideo where there are too few for a snippet."""
        from extractors.snippets.sources import of_flow, of_video

        if isinstance(source, Clip):
            clips = iter([of_video(source, self.short_side, self.size_px, self.every_s)])
        else:
            clips = (of_flow(row, self.short_side) for row in source)
        for pictures in clips:
            there, frames = len(pictures.first_frames), int(pictures.attributes["frames"])
            if there < self.span:
                given = f"{frames} frames" + (f", which give {there} flows" if self.flow else "")
                given += f", of which {there} are looked at" if self.every_s else ""
                needed = f"{self.span} flows" if self.flow else f"{self.span}"
                raise UnusableVideo(f"{given}; at least {needed} are needed", frames)
            yield pictures

    def cropped(self, snippet: "np.ndarray") -> "np.ndarray":
        """(height, width, channel) to (crops, side, side, channel)."""
        from pipeline.video.sampling import corner_crops, ten_crops

        if self.crops == 10:
            crops = ten_crops(snippet, self.crop)
            if self.modality == "flow":
                crops[5:, ..., ::2] = 255 - crops[5:, ..., ::2]  # to the left is to the right in a mirror
            return crops
        height, width = snippet.shape[:2]
        top, left = corner_crops(height, width, self.crop)[-1]
        return snippet[None, top : top + self.crop, left : left + self.crop]
