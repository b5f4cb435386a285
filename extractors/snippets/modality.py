"""Modalities of a snippet, the consecutive pictures that a network sees at once."""

from typing import Literal, NamedTuple

Modality = Literal["rgb", "flow", "rgb_diff"]
"""Frames, optical flow, or differences of consecutive frames."""


class Snippet(NamedTuple):
    """Size of a snippet: its number of pictures, frames or flows, and the channels of the network's input."""

    pictures: int
    channels: int
    title: str


SNIPPETS: dict[Modality, Snippet] = {
    "rgb": Snippet(1, 3, "RGB"),
    "flow": Snippet(5, 10, "flow"),
    "rgb_diff": Snippet(6, 15, "RGB difference"),
}
"""Snippets by modality. A flow has two channels, x and y; six frames give five differences of three colours."""
