"""Asks the trained networks of an experiment's first run about a few clips, step by step, and for feature maps."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from extractors.convnet3d.config import WINDOW_FRAMES, ConvNet3D
from pipeline.report.feature_maps import FirstMaps
from pipeline.report.feature_maps import pictures as over_frame
from pipeline.report.thumbnails import TIMELINE
from pipeline.report.traces import Trace, TracedClip, choose
from pipeline.store import Store
from pipeline.video.sampling import resample
from tasks.features import Extract, FitExtractor, extract
from tasks.index import fold, library
from tasks.reporting.thumbnails import clearest, pictures
from tasks.rows import labels
from tasks.runs import Runs
from tasks.training import Predict


def clips(runs: Runs) -> tuple[TracedClip, ...]:
    """Trace the chosen clips through all streams whose networks have traces; no clips where no stream's has."""
    dataset = runs.recipe.dataset
    chosen = _chosen(runs)
    found: dict[str, dict[str, Trace]] = {video: {} for video in chosen}
    extents: dict[str, tuple[int, float | None]] = {}
    for prediction in runs.predictions(*runs.pairs[0]):
        for video, trace in _traces(prediction, chosen):
            found[video][prediction.stream.title] = trace
            attributes = _timing(prediction).read(video, arrays=()).attributes
            fps = float(attributes["fps"]) if "fps" in attributes else extents.get(video, (0, None))[1]
            extents[video] = int(attributes["frames"]), fps
    if not extents:
        return ()
    strips = pictures(dataset, extents, clearest(runs.recipe.streams), TIMELINE)
    return tuple(
        TracedClip(video, _label(runs, video), *extents[video], strips[video], traces)
        if traces
        else TracedClip(video, _label(runs, video))
        for video, traces in found.items()
    )


def feature_maps(runs: Runs) -> dict[str, tuple[FirstMaps, ...]]:
    """Draw, by the stream's name, the maps of the chosen clips of each 3D-ConvNet, once where streams share it.

    Of each clip those of the window whose scores are best for its class.
    """
    made: dict[str, tuple[FirstMaps, ...]] = {}
    seen: list[ConvNet3D] = []
    for prediction in runs.predictions(*runs.pairs[0]):
        for stage in prediction.features:
            extractor = stage.extractor
            if isinstance(extractor, ConvNet3D) and extractor not in seen:
                seen.append(extractor)
                title = prediction.stream.title
                made[title] = (*made.get(title, ()), *_first_maps(runs, extractor, stage))
    return {name: maps for name, maps in made.items() if maps}


def _chosen(runs: Runs) -> tuple[str, ...]:
    dataset, (number, _) = runs.recipe.dataset, runs.pairs[0]
    return choose(labels(library(dataset)), fold(dataset, number).test)


def _label(runs: Runs, video: str) -> str:
    indexed = library(runs.recipe.dataset)
    return indexed.listing.classes[labels(indexed)[video][0]]


def _traces(prediction: Predict, chosen: Sequence[str]) -> Iterator[tuple[str, Trace]]:
    """Of those that have rows, in their order."""
    usable = prediction.usable(chosen)
    if not usable:
        return
    store = _timing(prediction)
    examples = prediction.sequences(usable, variants=1)
    known = labels(library(prediction.dataset))
    network = prediction.network(examples.inputs[0].shape[1])
    for (inputs, _), video in zip(examples, usable, strict=True):
        traced = network.eval().trace(torch.from_numpy(inputs))
        if traced is not None:
            starts = store.read(video, arrays=["start_frames"]).arrays["start_frames"]
            seen = starts[resample(len(starts), len(inputs))]  # as the sequence was, or as it is
            norms = None if traced.norms is None else traced.norms.numpy()
            probability = traced.logits.softmax(dim=1)[:, known[video][0]].numpy()
            yield video, Trace(seen, probability, norms)


def _timing(prediction: Predict) -> Store:
    """The rows that say when a stream's steps are: of several inputs those of the first."""
    return Store(prediction.features[0].path())


def _first_maps(runs: Runs, extractor: ConvNet3D, features: Extract) -> Iterator[FirstMaps]:
    from extractors.convnet3d.network import first_maps, load

    dataset, (number, _) = runs.recipe.dataset, runs.pairs[0]
    network = load(FitExtractor(dataset=dataset, extractor=extractor, fold=number).path(), "cpu")
    boxes, rows = Store(extract(dataset, extractor.upstream, number).path()), Store(features.path())
    for video in filter(rows.variants, _chosen(runs)):
        windows = rows.read(video, arrays=["scores", "start_frames"]).arrays
        shares = torch.from_numpy(windows["scores"]).softmax(dim=1)[:, labels(library(dataset))[video][0]]
        start = int(windows["start_frames"][shares.argmax()])
        whole = boxes.read(video, arrays=["cuboid"], part=slice(start, start + WINDOW_FRAMES))
        window = whole.arrays["cuboid"].astype(np.float32)
        frame = start + WINDOW_FRAMES // 2
        yield FirstMaps(video, _label(runs, video), frame, over_frame(*first_maps(network, window)))
