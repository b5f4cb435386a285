"""Configurations that temporal segment and temporal difference networks share: their pictures, sizes and weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from extractors.backbones.names import NAMES
from extractors.base import Clip, Extractor, FittedNetwork, Row
from extractors.frames import Frames, Interpolation, one_size
from extractors.libraries.names import LIBRARIES, library_of, preprocessing_of
from extractors.libraries.names import significant as preprocessing_significant
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import SNIPPETS, Modality
from extractors.tvl1.config import TVL1
from pipeline.config import Config, File, Positive, Seed, Size, unknown
from pipeline.errors import UnusableVideo

if TYPE_CHECKING:
    import numpy as np

    from extractors.snippets.sources import Pictures


class Backbone(Config):
    """A pretrained image network, and how it is fine-tuned.

    Notes
    -----
    Of a library's network features are what its classifier sees. Its pictures are scaled and normalised as the metadata
    of its weights say. Without ``weights`` it has those of its name.
    """

    backbone: str = Field(
        description='architecture: "resnet50", "bn_inception" or "squeezenet1_0"; or the name of a library\'s network, '
        '"torchvision:resnet18", with its weights "torchvision:resnet18.IMAGENET1K_V1", or "timm:…"'
    )
    weights: File = Field(
        description="file of pretrained weights, or a known name: kinescope weights lists them; "
        "by default those that the name of a library's network names"
    )
    fit: Finetuning | None = Field(
        None, description="fine-tuning on the training videos; None uses the weights as they are"
    )
    seed: Seed = Field(0, description="seed of the fine-tuning")

    @model_validator(mode="before")
    @classmethod
    def _of_a_library(cls, table: Any) -> Any:
        """Complete the name of a library's network by that of its weights, which are its own by default."""
        name = table.get("backbone") if isinstance(table, Mapping) else None
        if not isinstance(name, str) or (library := library_of(name)) is None:
            return table
        given = table.get("weights")
        if not isinstance(given, str) or library_of(given) is not library:
            complete = library.completed(name)
            return {"weights": complete, **table, "backbone": complete}
        complete = library.completed(given)
        if complete not in (library.completed(name), f"{name}.{complete.partition('.')[2]}"):
            raise ValueError(f"weights {given} are not those of {name}: leave weights out, or give the path of a file")
        return {**table, "weights": complete, "backbone": complete}

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        if library_of(name) is None and name not in NAMES:
            raise ValueError(unknown("backbone", name, (*NAMES, *(f"{library}:…" for library in LIBRARIES))))
        return name

    def significant(self, digest: Callable[[str], str]) -> dict[str, Any]:
        """Return what enters a fingerprint: of a library's network what its pictures are made into, too."""
        return super().significant(digest) | preprocessing_significant(self.backbone)


class SnippetExtractor(Extractor):
    """An image network that looks at snippets: a frame, some consecutive flows, or differences of consecutive frames.

    Notes
    -----
    No snippet crosses the end of a clip. Pictures are scaled to a short side or size: shrunk by averaging, or for a
    library's network as its weights' metadata say, as are the sizes by default. So are those of flow, whose vectors
    keep their lengths, as in the code of Wang et al. With ``every_s`` not every frame of RGB is looked at: the
    pictures of a snippet follow each other at that distance.

    References
    ----------
    Wang et al., *Temporal Segment Networks* (ECCV 2016).
    """

    uses_gpu: ClassVar[bool] = True
    added: ClassVar[frozenset[str]] = frozenset({"size_px", "every_s"})

    modality: Modality = Field("rgb", description="what a snippet is made of: frames, optical flow, or differences")
    network: Backbone = Field(description="image network")
    crops: Literal[1, 10] = Field(
        10, description="crops of a picture: 1, its centre; 10, its corners and centre, and their mirror images"
    )
    short_side: Size | None = Field(256, description="shorter side of the scaled picture in pixels")
    size_px: tuple[Size, Size] | None = Field(
        None, description="width and height of the scaled frame in pixels instead of short_side; not for flow"
    )
    every_s: Positive | None = Field(
        None, description="seconds between the frames that are looked at; None looks at all; not for flow"
    )
    crop: Size = Field(224, description="side of a crop in pixels")
    flow: TVL1 | None = Field(None, description="optical flow; modality flow has it by default, no other takes it")
    frames: Frames | None = Field(
        None, description="frames that RGB or RGB difference is fine-tuned on; by default sized as those looked at"
    )
    dtype: Literal["float16", "float32"] = Field("float32", description="type of the stored features and scores")

    @property
    def title(self) -> str:
        return f"{self.name.upper()} {SNIPPETS[self.modality].title}"

    @model_validator(mode="before")
    @classmethod
    def _implied(cls, table: Any) -> Any:
        """Fill in the flow's defaults, and in the table of frames what this table says."""
        if not isinstance(table, Mapping):
            return table
        table = one_size(_sized_for_network(table))
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
            raise ValueError("modality flow needs a table flow, and no other modality takes one")
        if self.flow and (self.size_px or self.every_s):
            raise ValueError("size_px and every_s are for frames: for flow set flow.size_px and flow.stride_frames")
        if self.frames and (self.flow or not self.network.fit):
            raise ValueError("frames are for fine-tuning on RGB or RGB difference: leave them out")
        if self.frames and self.frames.every_s != self.every_s:
            raise ValueError(f"frames.every_s must equal every_s, {self.every_s}")
        shorter = min(self.size_px) if self.size_px else self.short_side
        if shorter is None:
            raise ValueError("give either short_side or size_px")
        if self.crop > shorter:
            where = "size_px" if self.size_px else "a short_side"
            raise ValueError(f"a crop of {self.crop} pixels needs {where} of at least as many")
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

    def check_files(self) -> None:
        from extractors.backbones.registry import check_crop

        super().check_files()
        check_crop(self.network.backbone, SNIPPETS[self.modality].channels, self.crop)

    def seeded(self, seed: int) -> Self:
        network = self.network.model_copy(update={"seed": self.network.seed + seed})
        return self.model_copy(update={"network": network})

    @property
    def span(self) -> int:
        """Number of pictures in a snippet."""
        return SNIPPETS[self.modality].pictures

    def sources(self, source: Clip | Sequence[Row]) -> "Iterator[Pictures]":
        """Read the pictures of a clip, or of each row of its flow.

        Raises
        ------
        UnusableVideo
            Where there are too few for a snippet.
        """
        from extractors.snippets.sources import of_flow, of_video

        if isinstance(source, Clip):
            seen = preprocessing_of(self.network.backbone)
            interpolation: Interpolation = seen.interpolation if seen else "area"
            clips = iter([of_video(source, self.short_side, self.size_px, self.every_s, interpolation)])
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
        """Crop a snippet.

        Parameters
        ----------
        snippet : ndarray of uint8, shape (height, width, channel)

        Returns
        -------
        ndarray of uint8, shape (crops, crop, crop, channel)
            In the mirror images of flow, x changes its sign.
        """
        from pipeline.video.sampling import corner_crops, ten_crops

        if self.crops == 10:
            crops = ten_crops(snippet, self.crop)
            if self.modality == "flow":
                crops[5:, ..., ::2] = 255 - crops[5:, ..., ::2]  # to the left is to the right in a mirror
            return crops
        height, width = snippet.shape[:2]
        top, left = corner_crops(height, width, self.crop)[-1]
        if library_of(self.network.backbone):  # whose own centre is rounded otherwise
            top, left = round((height - self.crop) / 2), round((width - self.crop) / 2)
        return snippet[None, top : top + self.crop, left : left + self.crop]


def _sized_for_network(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fill in the sizes of pictures by which a library's network is used, where a table leaves them out."""
    network = table.get("network")
    name = network.get("backbone") if isinstance(network, Mapping) else getattr(network, "backbone", None)
    seen = preprocessing_of(name) if isinstance(name, str) else None
    if seen is None:
        return table
    scaled: dict[str, Any] = {"short_side": seen.short_side}
    if seen.squashed and table.get("modality", "rgb") != "flow":
        scaled = {"size_px": (seen.short_side, seen.short_side)}
    given = {} if table.keys() & {"short_side", "size_px"} else scaled
    return {"crop": seen.crop, **given, **table}
