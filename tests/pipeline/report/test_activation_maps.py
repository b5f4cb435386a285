"""Class activation maps as pictures: which videos are shown, and where a map is hot."""

import base64
import re

import cv2
import numpy as np

from pipeline.report.activation_maps import SHOWN, most_improved, pictures


def decoded(picture: str) -> np.ndarray:
    """(height, width, 3) RGB of an HTML image."""
    (data,) = re.findall(r'base64,([^"]+)"', picture)
    encoded = np.frombuffer(base64.b64decode(data), np.uint8)
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)


def test_those_that_gain_most_one_of_a_class() -> None:
    labels = {"a1": (0,), "a2": (0,), "b1": (1,), "c1": (2,), "c2": (2, 0)}
    gains = {"a1": 0.3, "a2": 0.4, "b1": -0.1, "c1": 0.2, "c2": 0.1}
    before = {id: np.full(3, 0.2) for id in labels}
    after = {id: before[id] + gain * np.eye(3)[labels[id][0]] for id, gain in gains.items()}
    assert most_improved(before, after, labels) == ("a2", "c1")
    assert most_improved(before, before, labels) == ()


def test_no_more_than_are_shown() -> None:
    labels = {f"video {number}": (number,) for number in range(9)}
    before = {id: np.zeros(9) for id in labels}
    after = {id: np.eye(9)[label] * (1 - 0.1 * label) for id, (label,) in labels.items()}
    assert most_improved(before, after, labels) == tuple(labels)[:SHOWN]


def test_a_map_is_enlarged_over_its_frame_and_hot_where_it_is_large() -> None:
    frame = np.full((224, 224, 3), 128, np.uint8)
    answers = np.zeros((2, 7, 7), np.float32)
    answers[0, 1, 5], answers[1] = 3.0, -2.0
    answers[1, 6, 0] = -1.0
    for picture, hot, cold in zip(
        pictures([frame, frame], answers), ((48, 176), (208, 16)), ((200, 40), (30, 200)), strict=True
    ):
        shown = decoded(picture)
        assert shown.shape == (224, 224, 3)
        red, _, blue = shown[hot]
        assert red > blue + 60
        red, _, blue = shown[cold]
        assert blue > red + 60


def test_a_flat_map_says_nothing() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (picture,) = pictures([frame], np.full((1, 2, 2), 7.0, np.float32))
    shown = decoded(picture)
    assert shown[..., 2].mean() > shown[..., 0].mean() + 30
    assert np.ptp(shown.mean(axis=2)) > 20
