"""What a recognizer says of new videos, and of films window by window: as tables, CSV and JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.files.atomic import write_text
from pipeline.files.records import write_record
from pipeline.results import report_files
from pipeline.results.segments import Moments, Segment, named
from pipeline.results.tables import csv_text, ruled
from pipeline.rows import Failure
from pipeline.scoring.scores import Scores

RECORD, FILES = "digests.json", ("predictions.csv", "predictions.html", "predictions.json", "segments.csv", "table.txt")
"""The record that tells whether the files are as they were written, and the files."""
_RANKS = 5


class Window(NamedTuple):
    """Part of a film that was asked about by itself, in seconds."""

    film: str
    start_s: float
    end_s: float


class Detected(NamedTuple):
    """Class that is to be detected, and the probability from which on it is: the best one on the training videos."""

    name: str
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """What is said of a film: of each moment, by all streams and by each, and the segments that this comes to."""

    id: str
    moments: Moments
    streams: Mapping[str, Moments]
    segments: list[Segment]


@dataclass(frozen=True)
class Answers:
    """Probabilities of the classes of some videos.

    Attributes
    ----------
    title : str
        The experiment's title.
    answers : Scores
        Probabilities of the classes; of several runs their mean.
    streams : mapping of Scores
        Those of each stream alone, by its name, of the same videos in the same order.
    paths : mapping of str
        File of each video.
    failures : mapping of Failure
        Why videos could not be used.
    threshold : float
        Probability below which the answer is ``UNKNOWN``.
    remarks : tuple of str
        What was left out of the places that were given.
    provenance : mapping
        What answered.
    windows : mapping of Window
        Of films that were asked about window by window, each window by its id.
    detected : Detected, optional
        Of two classes the one that is to be detected.
    """

    title: str
    answers: Scores
    streams: Mapping[str, Scores]
    paths: Mapping[str, str]
    failures: Mapping[str, Failure]
    threshold: float
    remarks: tuple[str, ...]
    provenance: Mapping[str, Any]
    windows: Mapping[str, Window] = field(default_factory=dict)
    detected: Detected | None = None

    @cached_property
    def films(self) -> list[Film]:
        """What is said of each film of which windows were asked about; those that failed say nothing."""
        rows: dict[str, list[int]] = {}
        for row, video in enumerate(self.answers.ids):
            if video in self.windows:
                rows.setdefault(self.windows[video].film, []).append(row)
        return [self._film(film, of_film) for film, of_film in rows.items()]

    @property
    def whole(self) -> list[int]:
        """Rows of the videos that are not windows."""
        return [row for row, video in enumerate(self.answers.ids) if video not in self.windows]

    def is_detected(self, row: int) -> bool:
        """Return whether the class that is to be detected is found in a video."""
        assert self.detected is not None
        place = self.answers.classes.index(self.detected.name)
        return bool(self.answers.values[row, place] >= self.detected.threshold)

    def captions(self, video: str) -> Callable[[float], str]:
        """Return what is said of a film, or of a video that was asked about whole, at a time in seconds."""
        film = next((film for film in self.films if film.id == video), None)
        if film is not None:
            return lambda time_s: self._caption(film.moments.at(time_s))
        said = self._caption(self.answers.values[self.answers.ids.index(video)])
        return lambda time_s: said

    def _caption(self, probabilities: np.ndarray) -> str:
        if np.isnan(probabilities).any():
            return "no answer"
        name = named(probabilities, self.answers.classes, self.threshold)
        return f"{name}  {100 * probabilities.max():.0f} %"

    def _film(self, film: str, rows: list[int]) -> Film:
        spans = [self.windows[self.answers.ids[row]][1:] for row in rows]
        streams = {name: Moments.of(spans, scores.values[rows]) for name, scores in self.streams.items()}
        moments = Moments.of(spans, self.answers.values[rows])
        return Film(film, moments, streams, moments.segments(self.answers.classes, self.threshold))

    def best(self, row: int) -> list[tuple[str, float]]:
        """Return the most probable classes of a video, at most five, with their probabilities."""
        return _best(self.answers, row)

    def best_of(self, stream: str, row: int) -> list[tuple[str, float]]:
        """Return the same by one stream alone."""
        return _best(self.streams[stream], row)

    def answer(self, row: int) -> str:
        """Return the class of a video, or ``UNKNOWN``."""
        return named(self.answers.values[row], self.answers.classes, self.threshold)


def _best(scores: Scores, row: int) -> list[tuple[str, float]]:
    values = scores.values[row]
    return [(scores.classes[place], float(values[place])) for place in np.argsort(-values, kind="stable")[:_RANKS]]


def mean(members: Sequence[Scores]) -> Scores:
    """Return the mean of the probabilities of several runs; a video that failed in one has failed in all."""
    failed = sorted({id for scores in members for id in scores.failed})
    ids = [id for id in members[0].ids if id not in failed]
    values = np.mean([scores.select(ids).probabilities() for scores in members], axis=0)
    return Scores(tuple(ids), values, "probabilities", members[0].classes, tuple(failed))


def write(answers: Answers, page: str, folder: Path) -> None:
    """Write the files of the answers, the page among them, and the record of them."""
    write_text(folder / "predictions.html", page)
    write_text(folder / "predictions.csv", _table(answers))
    write_text(folder / "segments.csv", _segments(answers))
    write_record(folder / "predictions.json", _numbers(answers), indent=1)
    write_text(folder / "table.txt", _text(answers) + "\n")
    report_files.write_digests(folder / RECORD, FILES)


def failed(folder: Path, fingerprint: str) -> int | None:
    """Return the number of videos without answers; None where a folder does not hold those of this fingerprint."""
    if not report_files.as_recorded(folder / RECORD, FILES):
        return None
    told = json.loads((folder / "predictions.json").read_bytes())
    return len(told["failures"]) if told["provenance"]["fingerprint"] == fingerprint else None


def _table(answers: Answers) -> str:
    """Format the most probable classes as CSV: a line for each video and rank, a column for each stream."""
    scores, streams = answers.answers, answers.streams
    place = {name: number for number, name in enumerate(scores.classes)}
    lines = [
        [
            video,
            rank,
            name,
            repr(probability),
            *(repr(float(each.values[row, place[name]])) for each in streams.values()),
            *([int(answers.is_detected(row))] if answers.detected else []),
        ]
        for row, video in enumerate(scores.ids)
        for rank, (name, probability) in enumerate(answers.best(row), 1)
    ]
    detected = [f"{answers.detected.name} detected"] if answers.detected else []
    return csv_text(["video", "rank", "class", "probability", *streams, *detected], lines)


def _segments(answers: Answers) -> str:
    """Format the segments of films as CSV: times in seconds."""
    lines = [
        [film.id, repr(start), repr(end), name, repr(confidence)]
        for film in answers.films
        for start, end, name, confidence in film.segments
    ]
    return csv_text(["video", "start_s", "end_s", "class", "confidence"], lines)


def _numbers(answers: Answers) -> dict[str, Any]:
    scores = answers.answers
    videos = {
        video: {
            "file": answers.paths[video],
            "answer": answers.answer(row),
            **({"detected": answers.is_detected(row)} if answers.detected else {}),
            "probabilities": dict(zip(scores.classes, scores.values[row].tolist(), strict=True)),
            "streams": {
                name: dict(zip(each.classes, each.values[row].tolist(), strict=True))
                for name, each in answers.streams.items()
            },
        }
        for row, video in enumerate(scores.ids)
    }
    failures = {
        video: {"file": answers.paths[video], "reason": failure.reason, "frames_decoded": failure.frames_decoded}
        for video, failure in answers.failures.items()
    }
    return {
        "title": answers.title,
        "threshold": answers.threshold,
        "detection": answers.detected and answers.detected._asdict(),
        "videos": videos,
        "segments": {film.id: [segment._asdict() for segment in film.segments] for film in answers.films},
        "failures": failures,
        "remarks": answers.remarks,
        "provenance": answers.provenance,
    }


def _text(answers: Answers) -> str:
    tables = [_table_of_films(answers)] if answers.films else []
    tables += [_table_of_videos(answers)] if answers.whole or not answers.films else []
    failed = [f"{video}: {failure.reason}" for video, failure in answers.failures.items()]
    listed = ["", f"videos that could not be used: {len(failed)}", *(f"  {line}" for line in failed)] if failed else []
    return "\n".join([answers.title, *(line for table in tables for line in table), *listed, *answers.remarks])


def _table_of_films(answers: Answers) -> list[str]:
    return ruled(
        [
            ["video", "from [s]", "to [s]", "class", "confidence"],
            *(
                [film.id, f"{start:.2f}", f"{end:.2f}", name, f"{confidence:.3f}"]
                for film in answers.films
                for start, end, name, confidence in film.segments
            ),
        ]
    )


def _table_of_videos(answers: Answers) -> list[str]:
    rows = [["video", "answer", "probability", "next", "probability"]]
    for row in answers.whole:
        (_, probability), *others = answers.best(row)
        second = [others[0][0], f"{others[0][1]:.3f}"] if others else ["", ""]
        rows.append([answers.answers.ids[row], answers.answer(row), f"{probability:.3f}", *second])
    return ruled(rows)
