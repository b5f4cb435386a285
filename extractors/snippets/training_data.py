"""Training examples of temporal segment networks, read from rows of pictures."""

from itertools import chain

import cv2
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
        self.material, self.crop, self.fit = material, crop, fit
        self.snippet, self.names = SNIPPETS[modality], ("x", "y") if modality == "flow" else ("frames",)
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
        mirror = fit.mirror and rng.random() < 0.5
        cropped = [self._cropped(crop, mirror, snippet) for snippet in read]
        if fit.colour_jitter:
            cropped = [*colour_jittered(np.stack([np.stack(each) for each in cropped]), fit.colour_jitter, rng)]
        return np.stack([cv2.merge(list(each)) for each in cropped]), self.material.labels[row]

    def _cropped(self, crop: Crop, mirror: bool, snippet: list[list[np.ndarray]]) -> list[np.ndarray]:
        """Crop a snippet, whose pictures come name by name; return them moment by moment."""
        cropped = [[crop(picture, self.crop) for picture in pictures] for pictures in snippet]
        if mirror:
            cropped = [
                [mirrored(picture, negated=name == "x") for picture in pictures]
                for name, pictures in zip(self.names, cropped, strict=True)
            ]
        return list(chain.from_iterable(zip(*cropped, strict=True)))
