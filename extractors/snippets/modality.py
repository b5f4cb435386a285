"""What a temporal segment network looks at once: pictures that follow each other."""

from typing import Literal, NamedTuple

Modality = Literal["rgb", "flow", "rgb_diff"]


class Snippet(NamedTuple):
    """pictures: frames or flows; channels: of the network's input."""

    pictures: int
    channels: int


SNIPPETS: dict[Modality, Snippet] = {"rgb": Snippet(1, 3), "flow": Snippet(5, 10), "rgb_diff": Snippet(6, 15)}
"""A flow is two channels, x and y; six frames are five differences of three colours."""
