"""Tell whether the files of a report are as they were written, and read the figures in them."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.files.records import load_record, read_record, write_record
from pipeline.scoring.metrics import Summary

FIGURES = "metrics.json"
REPORT = ("report.html", FIGURES, "table.txt", "predictions.csv", "classes.csv", "folds.json")
"""The files of a report."""


class _Row(BaseModel):
    """Figures of a stream, or of the fusion, in percent."""

    name: str
    reported: float | None
    summary: dict[str, Summary]
    class_accuracy: list[float | None] | None
    average_precision: list[float | None] | None


class _Failure(BaseModel):
    reason: str
    frames_decoded: int


class _Provenance(BaseModel):
    model_config = ConfigDict(extra="allow")

    experiment: dict[str, Any]
    fingerprint: str = ""
    report: dict[str, str] = {}


class ReportedFigures(BaseModel):
    """Content of ``metrics.json``, as far as it is read again.

    Attributes
    ----------
    metric : str
        Name of the metric that counts; each row's summary has it.
    rows : list
        Figures of each stream and of the fusion.
    failures : dict
        Why videos could not be used, by id.
    provenance : object
        The experiment, its fingerprint, and the digest of each other file of the report.
    """

    title: str
    table: str
    metric: str
    classes: list[str]
    rows: list[_Row] = Field(min_length=1)
    failures: dict[str, _Failure]
    provenance: _Provenance

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for row in self.rows:
            if self.metric not in row.summary:
                raise ValueError(f"{row.name} has no {self.metric}")
            by_class = filter(None, (row.class_accuracy, row.average_precision))
            if any(len(shares) != len(self.classes) for shares in by_class):
                raise ValueError(f"{row.name} has other than {len(self.classes)} classes")
        return self


def write_figures(folder: Path, numbers: Mapping[str, Any]) -> None:
    """Write ``metrics.json`` beside the other files of a report, whose digests it then holds."""
    others = {name: _digest(folder / name) for name in REPORT if name != FIGURES}
    told = {**numbers, "provenance": {**numbers["provenance"], "report": others}}
    write_record(folder / FIGURES, told, indent=1)


def read_figures(folder: Path) -> ReportedFigures:
    """Read the figures of a report. Raises DamagedStore where they are damaged, and quarantines their file."""
    return read_record(folder / FIGURES, ReportedFigures)


class _Digests(BaseModel):
    """Content of a record that tells whether other files are as they were written."""

    digests: dict[str, str]


def write_digests(record: Path, names: Iterable[str]) -> None:
    """Write a record of the digests of files that lie beside it."""
    write_record(record, {"digests": {name: _digest(record.with_name(name)) for name in names}})


def as_recorded(record: Path, names: Iterable[str]) -> bool:
    """Return whether the files beside a record are as they were when it was written."""
    try:
        told = load_record(record, _Digests)
        return all(told.digests.get(name) == _digest(record.with_name(name)) for name in names)
    except (OSError, ValueError):  # one is missing, or is a folder
        return False


def shortcoming(folder: Path) -> str | None:
    """Say what is missing of a report, or not as it was written; None where nothing is. Nothing is changed."""
    for name in REPORT:
        if not (folder / name).is_file():
            return f"{name} is missing"
    try:
        told = load_record(folder / FIGURES, ReportedFigures)
        for name in REPORT:
            if name != FIGURES and _digest(folder / name) != told.provenance.report.get(name):
                return f"{name} is damaged" if told.provenance.report else f"{FIGURES} is of an earlier version"
    except ValueError:
        return f"{FIGURES} is damaged"
    return None


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
