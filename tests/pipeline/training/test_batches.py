"""Batches: each example once an epoch, those of similar lengths together, and nothing learned from padding."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.batches import IGNORED, batches
from pipeline.training.config import Fit
from tests.support.tiny_training import Items, Quadratic, run


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_an_epoch_reads_each_example_once(lengths: list[int], batch: int, seed: int) -> None:
    parts = batches(lengths, batch, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    assert len(parts) == -(-len(lengths) // batch)
    assert max(map(len, parts)) <= batch


def test_batches_are_of_similar_lengths_and_never_the_same() -> None:
    lengths: Any = np.random.default_rng(0).integers(10, 500, 600)
    one, other = (batches(lengths, 10, np.random.default_rng(seed)) for seed in (1, 2))
    assert {tuple(sorted(part)) for part in one}.isdisjoint(tuple(sorted(part)) for part in other)
    padded = sum(len(part) * lengths[part].max() for part in one)
    assert padded < 1.25 * lengths.sum()
    assert abs(np.corrcoef([lengths[part].mean() for part in one], np.arange(len(one)))[0, 1]) < 0.4


def test_padding_is_zero_and_padded_frames_have_no_label(tmp_path: Path) -> None:
    items = Items([(np.full((n, 2), n, np.float32), np.arange(n)) for n in (3, 1, 4)])
    network = Quadratic()
    run(network, items, Fit(epochs=1), tmp_path)
    inputs, lengths, targets = network.seen[0]
    assert inputs.shape == (3, 4, 2)
    assert targets.dtype == lengths.dtype == torch.int64
    for row, labels, length in zip(inputs, targets, lengths.tolist(), strict=True):
        assert (row[:length] == length).all()
        assert (row[length:] == 0).all()
        assert labels.tolist() == list(range(length)) + [IGNORED] * (4 - length)
