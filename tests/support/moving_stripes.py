"""Videos and flow of two classes, which networks of snippets are trained on."""

import numpy as np

from extractors.base import Labelled, Row

SIDE = 48
"""Of the crops, in pixels."""


def stripes(label: int, count: int, *, flow: bool = False) -> Row:
    """Stripes that move, up and down or across: that is the class."""
    places = np.indices((60, 80))[label % 2] + 2 * np.arange(count)[:, None, None]
    values = (50 + 150 * (places // 6 % 2)).astype(np.uint8)
    names = (
        {"x": values, "y": np.full_like(values, 128)} if flow else {"frames": np.repeat(values[..., None], 3, axis=3)}
    )
    return Row({**names, "start_frames": np.arange(count)}, {"fps": 25.0, "frames": count})


def labelled(rows: list[Row], labels: list[int]) -> Labelled:
    return Labelled(rows, labels, max(labels) + 1, [f"video-{number}" for number in range(len(rows))])


LABELS = [number % 2 for number in range(8)]
CLIPS = labelled([stripes(label, 12 + number) for number, label in enumerate(LABELS)], LABELS)
FLOWS = labelled([stripes(label, 12 + number, flow=True) for number, label in enumerate(LABELS)], LABELS)
