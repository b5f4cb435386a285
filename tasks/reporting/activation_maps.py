"""Computes class activation maps of an experiment's temporal difference networks."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from extractors.base import Clip, Row
from extractors.tdn.config import TDN, over_frames
from pipeline.errors import DamagedStore, InputError
from pipeline.report.activation_maps import Activations, most_improved, pictures
from pipeline.store import Store
from tasks.features import Extract, FitExtractor, extract
from tasks.index import fold, library
from tasks.rows import labels
from tasks.runs import Runs

if TYPE_CHECKING:
    from extractors.tdn.inference import TDNFeatureExtractor


def activations(runs: Runs) -> dict[str, tuple[Activations, ...]]:
    """Draw, by the stream's name, the test videos of the first run that the differences improve most."""
    made: dict[str, tuple[Activations, ...]] = {}
    for prediction in runs.predictions(*runs.pairs[0]):
        for stage in prediction.features:
            if isinstance(stage.extractor, TDN):
                title = prediction.stream.title
                made[title] = (*made.get(title, ()), *_of_stage(runs, stage, stage.extractor))
    return {name: shown for name, shown in made.items() if shown}


def _of_stage(runs: Runs, stage: Extract, extractor: TDN) -> Iterator[Activations]:
    from extractors.tdn.inference import TDNFeatureExtractor

    dataset, (number, _) = runs.recipe.dataset, runs.pairs[0]
    indexed, store = library(dataset), Store(stage.path())
    known = labels(indexed)
    before, after = _probabilities(store, [id for id in fold(dataset, number).test if store.variants(id)])
    trained = FitExtractor(dataset=dataset, extractor=extractor, fold=number)
    network = TDNFeatureExtractor(extractor.fitted.build, trained.path(), "cpu")
    for id in most_improved(before, after, known):
        label = known[id][0]
        row = store.read(id, arrays=["scores", "snippet_frames"]).arrays
        frames = row["snippet_frames"][int(softmax(row["scores"], axis=-1)[:, label].argmax())]
        try:
            drawn = _drawn(runs, extractor, network, id, frames, label)
        except DamagedStore:
            raise
        except (InputError, OSError):  # a video that cannot be shown is no reason to fail
            continue
        if drawn:
            chance = float(before[id][label]), float(after[id][label])
            yield Activations(id, indexed.listing.classes[label], *chance, tuple(frames.tolist()), *drawn)


def _probabilities(store: Store, videos: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(class,) by video id, of the images alone, and of both networks."""
    before, after = {}, {}
    for id in videos:
        arrays = store.read(id, arrays=["image_scores", "scores"]).arrays
        before[id], after[id] = (softmax(arrays[name].mean(axis=0)) for name in ("image_scores", "scores"))
    return before, after


def _drawn(
    runs: Runs, extractor: TDN, network: "TDNFeatureExtractor", id: str, frames: np.ndarray, label: int
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """One clip's frames with the maps of images, and the means of two with those of changes; None without its flow."""
    dataset, (number, _) = runs.recipe.dataset, runs.pairs[0]
    indexed = library(dataset)
    (video,) = (each for each in indexed.listing.videos if each.id == id)
    file = Clip(video.files["video"], video.frames, fps=video.fps)
    source: Clip | list[Row] = file
    if extractor.upstream is not None:
        shard = extract(dataset, extractor.upstream, number).shard(indexed.shard(video)).path()
        if not shard.exists():
            return None
        source = Store(shard).rows(id)
    with indexed.digests.unchanged(file.path):
        clip, shown = over_frames(extractor, source, file, frames)
    images, changes = network.activations(clip, label)
    between = [np.rint((one.astype(float) + other) / 2).astype(np.uint8) for one, other in pairwise(shown)]
    return pictures(list(shown), images), pictures(between, changes)
