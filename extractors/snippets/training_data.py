"""Training examples of temporal segment networks, read from rows of pictures."""

import numpy as np

from extractors.base import Labelled
from extractors.pictures import pictures
from extractors.snippets.augmentation import Crop, colour_jittered, drawn_crop, mirrored
from extractors.snippets.finetuning import Finetuning
from extractors.snippets.modality import SNIPPETS, Modality
from pipeline.errors import InputError
from pipeline.training.batches import Item
from pipeline.video.sampling import segment_random


class TrainingSnippets:
    """Training examples: a snippet from each segment of a video, drawn and augmented anew at each reading.

    Parameters
    ----------
    material : Labelled
        Rows of ``frames``, or of ``tvl1`` for flow.
    modality : Modality
    crop : int
        Side of the network's input in pixels.
    fit : Finetuning
        Number of segments and augmentation.

    Raises
    ------
    InputError
        Where no video holds a snippet.

    Notes
    -----
    A video with fewer pictures than a snippet gives no example; extraction lists it as a failure.
    """

    def __init__(self, material: Labelled, *, modality: Modality, crop: int, fit: Finetuning) -> None:
        self.material, self.flow, self.crop, self.fit = material, modality == "flow", crop, fit
        self.snippet, self.names = SNIPPETS[modality], ("x", "y") if self.flow else ("frames",)
        counts = [len(material.partial(index)["start_frames"][:]) for index in range(len(material.labels))]
        self.places = [(index, count) for index, count in enumerate(counts) if count >= self.snippet.pictures]
        if not self.places:
            needed = self.snippet.pictures
            raise InputError(
                f"none of the {len(counts)} training videos has enough pictures for a snippet; {needed} are needed"
            )

    @property
    def lengths(self) -> list[int]:
        """Number of segments of each example."""
        return [self.fit.segments] * len(self)

    def __len__(self) -> int:
        return len(self.places)

    def draw(self, index: int, rng: np.random.Generator) -> Item:
        """Draw an example of a video.

        Returns
        -------
        snippets : ndarray of uint8, shape (segment, crop, crop, channel)
            Channels as ``extractors.backbones.normalisation`` takes them.
        target : Target
            The video's label.
        """
        fit, span = self.fit, self.snippet.pictures
        row, count = self.places[index]
        arrays = self.material.partial(row)
        starts = segment_random(count, fit.segments, rng, span=span).tolist()
        read = [[pictures(arrays, name, start, start + span) for name in self.names] for start in starts]
        height, width = read[0][0][0].shape[:2]
        crop = drawn_crop(height, width, scales=fit.jitter_scales, corners=fit.corner_crop, rng=rng)
        cropped = np.stack([self._cropped(crop, snippet) for snippet in read])
        if fit.mirror and rng.random() < 0.5:
            cropped = mirrored(cropped, flow=self.flow)
        if fit.colour_jitter:
            cropped = colour_jittered(cropped, fit.colour_jitter, rng)
        # (segment, picture, height, width, channel) -> (segment, height, width, picture · channel)
        side = self.crop
        return np.moveaxis(cropped, 1, 3).reshape(fit.segments, side, side, -1), self.material.labels[row]

    def _cropped(self, crop: Crop, snippet: list[list[np.ndarray]]) -> np.ndarray:
        """Crop a snippet, whose pictures come name by name, to (picture, side, side, channel)."""
        side = self.crop
        named = [np.stack([crop(picture, side) for picture in pictures]) for pictures in snippet]
        return named[0] if named[0].ndim == 4 else np.stack(named, axis=-1)
