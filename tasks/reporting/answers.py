"""Draws what a page of predictions shows: pictures of the videos, and what each stream says of them step by step."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.report import thumbnails
from pipeline.report.prediction_page import MAX_SHOWN
from pipeline.report.steps import Shown, Steps
from pipeline.store import Store
from pipeline.video.sampling import resample
from tasks.experiment import AnyStream
from tasks.reporting.thumbnails import clearest, pictures
from tasks.training import Predict

if TYPE_CHECKING:
    from pipeline.results.answers import Answers, Film


def shown(predictions: Sequence[Predict], streams: Sequence[AnyStream], videos: Sequence[str]) -> dict[str, Shown]:
    """Draw some videos.

    Parameters
    ----------
    predictions
        What scores the videos by the first run that answers, stream by stream.
    streams
        The experiment's streams, which tell what is drawn of a video: frames or skeletons.
    videos
        Ids of the videos, all of which have answers.
    """
    found: dict[str, dict[str, Steps]] = {video: {} for video in videos}
    for prediction in predictions:
        for video, steps in _steps(prediction, videos):
            found[video][prediction.stream.title] = steps
    strips: Mapping[str, tuple[str, ...]] = pictures(predictions[0].dataset, videos, clearest(streams))
    return {video: Shown(strips[video], steps) for video, steps in found.items()}


def shown_films(answers: "Answers", fps: float | None) -> dict[str, Shown]:
    """Draw the first films that were asked about window by window: some frames, and each moment's probabilities.

    fps: that of films that are folders of pictures.
    """
    return {film.id: _film(film, Path(answers.paths[film.id]), fps) for film in answers.films[:MAX_SHOWN]}


def _film(film: "Film", path: Path, fps: float | None) -> Shown:
    moments = {"": film.moments} if len(film.streams) == 1 else {"all streams": film.moments, **film.streams}
    return Shown(
        thumbnails.of_film(path, float(film.moments.edges[-1]), fps=fps),
        {name: Steps(each.middles, each.probabilities, float(each.edges[-1]), "s") for name, each in moments.items()},
    )


def _steps(prediction: Predict, videos: Sequence[str]) -> Iterator[tuple[str, Steps]]:
    """Of the streams whose networks have an output at every step."""
    examples = prediction.sequences(videos, variants=1)
    network = prediction.network(examples.inputs[0].shape[1]).eval()
    store = Store(prediction.features[0].path())
    for video, inputs in zip(videos, examples.inputs, strict=True):
        with torch.inference_mode():
            trace = network.trace(torch.from_numpy(inputs))
        if trace is not None:
            row = store.read(video)
            timed = "times" in row.arrays
            starts = row.arrays["times" if timed else "start_frames"]
            starts = starts[resample(len(starts), len(inputs))]  # as the sequence was, or as it is
            end = float(row.arrays["ends"][-1]) if timed else float(row.attributes["frames"])
            yield video, Steps(starts, trace.logits.softmax(dim=1).numpy(), end, "s" if timed else "frame")
