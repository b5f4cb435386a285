"""What a recognizer says of new videos: as a table, CSV and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files.atomic import write_text
from pipeline.files.records import write_record
from pipeline.results import report_files
from pipeline.results.tables import aligned, csv_text
from pipeline.rows import Failure
from pipeline.scoring.scores import Scores

UNKNOWN = "unknown"
"""Answer about a video whose best class is less probable than the threshold."""
RECORD, FILES = "digests.json", ("predictions.csv", "predictions.html", "predictions.json", "table.txt")
"""The record that tells whether the files are as they were written, and the files."""
_RANKS = 5


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
    """

    title: str
    answers: Scores
    streams: Mapping[str, Scores]
    paths: Mapping[str, str]
    failures: Mapping[str, Failure]
    threshold: float
    remarks: tuple[str, ...]
    provenance: Mapping[str, Any]

    def best(self, row: int) -> list[tuple[str, float]]:
        """Return the most probable classes of a video, at most five, with their probabilities."""
        return _best(self.answers, row)

    def best_of(self, stream: str, row: int) -> list[tuple[str, float]]:
        """Return the same by one stream alone."""
        return _best(self.streams[stream], row)

    def answer(self, row: int) -> str:
        """Return the class of a video, or ``UNKNOWN``."""
        name, probability = self.best(row)[0]
        return name if probability >= self.threshold else UNKNOWN


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
        ]
        for row, video in enumerate(scores.ids)
        for rank, (name, probability) in enumerate(answers.best(row), 1)
    ]
    return csv_text(["video", "rank", "class", "probability", *streams], lines)


def _numbers(answers: Answers) -> dict[str, Any]:
    scores = answers.answers
    videos = {
        video: {
            "file": answers.paths[video],
            "answer": answers.answer(row),
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
        "videos": videos,
        "failures": failures,
        "remarks": answers.remarks,
        "provenance": answers.provenance,
    }


def _text(answers: Answers) -> str:
    rows = [["video", "answer", "probability", "next", "probability"]]
    for row, video in enumerate(answers.answers.ids):
        (_, probability), *others = answers.best(row)
        second = [others[0][0], f"{others[0][1]:.3f}"] if others else ["", ""]
        rows.append([video, answers.answer(row), f"{probability:.3f}", *second])
    rule = ["─" * max(map(len, column)) for column in zip(*rows, strict=True)]
    failed = [f"{video}: {failure.reason}" for video, failure in answers.failures.items()]
    listed = ["", f"videos that could not be used: {len(failed)}", *(f"  {line}" for line in failed)] if failed else []
    return "\n".join([answers.title, *aligned([rows[0], rule, *rows[1:]]), *listed, *answers.remarks])
