"""Describes what a store holds: ``kinescope inspect`` and ``kinescope failures``."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import HeldOpen, InputError, NewerFormat
from pipeline.files.records import load_record
from pipeline.results.report_files import FIGURES, ReportedFigures
from pipeline.results.sweeps import flat
from pipeline.results.tables import aligned, plus_minus
from pipeline.rows import Failure, Row, variant_name
from pipeline.scoring.scores import Scores
from pipeline.store import inspection
from tasks.commands.dependency_order import upstream_first
from tasks.commands.store_layout import (
    SHOWN,
    StageFolder,
    as_stage_folder,
    bytes_in,
    datasets,
    is_dataset,
    rows_file,
    stage_folders,
    unknown_video,
)
from tasks.features import Extract
from tasks.quantities import format_count, format_size

if TYPE_CHECKING:
    from pipeline.store.inspection import Contents
    from tasks.evaluation import Evaluate

NOT_PROVENANCE = ("stage", "fingerprint")

LIMITS = {"waiting": "decoding and preparation", "computing": "the extractor", "writing": "the disk"}
"""What most of a shard's time was spent on, by the name that its provenance has for those seconds."""


def describe(path: Path, video: str | None = None) -> Iterator[str]:
    """Describe, line by line, a store, a data set, a stage or a file, or the rows of one video in it.

    Raises
    ------
    InputError
        Where there is nothing that kinescope made.
    """
    stage_folder = as_stage_folder(path)
    file = stage_folder.output if stage_folder else path if path.is_file() else None
    if video is not None:
        yield from _video(rows_file(path), video)
    elif file is not None:
        yield from _file(file, path)
    elif is_dataset(path):
        yield from _dataset(path)
    elif found := datasets(path):
        for folder in found:
            yield from _dataset(folder)
    else:
        made = "is a stage without results yet" if stage_folder else "holds nothing that kinescope made"
        raise InputError(f"{path} {made}; a store, or a data set, stage or file in one, is needed")


def failure_cells(video: str, stage: str, failure: Failure) -> tuple[str, str, str, str]:
    """Return the cells of a line about a video that could not be used."""
    return video, stage, str(failure.frames_decoded), failure.reason


def format_failures(found: Iterable[StageFolder]) -> Iterator[str]:
    """Format a line for each video that could not be used, and each stage in which it failed."""
    lines = [
        failure_cells(video, stage_folder.folder.name, failure)
        for stage_folder in found
        if (stage_folder.folder / "index.h5").exists() or stage_folder.shards
        for video, failure in sorted(stage_folder.contents().failures.items())
    ]
    yield from aligned([FAILED_HEADER, *lines]) if lines else ["no failed videos"]


def stages_read_by(evaluation: "Evaluate") -> list[StageFolder]:
    """Return the existing stages with rows that an experiment reads. Raises InputError without an index."""
    stages = upstream_first(evaluation.runs.stages(), lambda _: True)
    folders = [stage.folder for stage in stages if isinstance(stage, Extract)]
    return [stage_folder for folder in folders if (stage_folder := as_stage_folder(folder)) is not None]


FAILED_HEADER = ("video", "stage", "frames decoded", "reason")


def _dataset(folder: Path) -> Iterator[str]:
    found = stage_folders(folder)
    yield f"{folder}: data set, {format_count(len(found), 'stage')}"
    if found:
        yield from aligned([_stage_cells(stage_folder) for stage_folder in found], indent="  ")


def _stage_cells(stage_folder: StageFolder) -> tuple[str, str, str, str]:
    held = format_size(bytes_in(stage_folder.folder))
    if stage_folder.output is None:
        return stage_folder.folder.name, "not finished", "", held
    try:
        stage = str(inspection.provenance(stage_folder.output)["stage"])
        found = stage_folder.contents()
    except InputError as error:
        states: dict[type, str] = {NewerFormat: "of a newer format", HeldOpen: "held open"}
        return stage_folder.folder.name, states.get(type(error), "damaged"), str(error), held
    what = format_count(len(found.keys), "video") + (f", {len(found.failures)} failed" if found.failures else "")
    if stage_folder.output.suffix != ".h5":
        what = _outcome(stage_folder.output) if stage_folder.output.name == FIGURES else ""
    return stage_folder.folder.name, stage, what, held


def _outcome(figures: Path) -> str:
    """Return the title, figure and day of an evaluation."""
    try:
        told = load_record(figures, ReportedFigures)
    except ValueError:
        return "damaged: the next run writes it again"
    day = datetime.fromtimestamp(figures.stat().st_mtime).date().isoformat()
    return f"{told.title}: {plus_minus(told.rows[-1].summary[told.metric])} % ({day})"


def _file(file: Path, path: Path) -> Iterator[str]:
    if file.suffix not in _DESCRIBED:
        raise InputError(f"{file} is no file of a store; one ending in {', '.join(_DESCRIBED)} is needed")
    origin = inspection.provenance(file)
    yield f"{path}: {origin['stage']}, {format_size(file.stat().st_size)} in {file.name}"
    yield from _DESCRIBED[file.suffix](file)
    yield "provenance"
    leaves = flat({name: value for name, value in origin.items() if name not in NOT_PROVENANCE})
    yield from aligned([(name, str(value)) for name, value in leaves.items()], indent="  ")


def _rows(file: Path) -> Iterator[str]:
    shards = inspection.linked(file)
    found = inspection.contents(shards)
    yield f"format: {inspection.format_of(file)}"
    yield from _tree(found)
    yield f"shards: {len(shards)}"
    yield from aligned([_shard(shard) for shard in shards] or [("none",)], indent="  ")
    yield f"failures: {len(found.failures)}"
    if found.failures:
        lines = [failure_cells(video, file.parent.name, failure) for video, failure in sorted(found.failures.items())]
        yield from aligned([FAILED_HEADER, *lines], indent="  ")


def _tree(found: "Contents") -> Iterator[str]:
    """Describe the arrays of all rows together, in the form of a row's group in the file."""
    ids = sorted(found.keys)
    listed = ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
    yield f"videos/<id>/variant-<n>: {format_count(len(ids), 'id')}, {format_count(found.rows, 'row')}: {listed}"
    arrays = sorted(found.arrays.items())
    marks = ["├─"] * (len(arrays) - 1) + ["└─"]
    rows = [
        (f"{mark} {name}", "/".join(sorted(array.dtypes)), _extent(array.smallest, array.largest),
         format_count(array.rows, "row"), f"{array.bytes} bytes", format_size(array.bytes))
        for mark, (name, array) in zip(marks, arrays, strict=False)
    ]  # fmt: skip
    if rows:
        yield from aligned(rows, indent="  ")


def _shard(shard: Path) -> tuple[str, ...]:
    if not shard.exists():
        return shard.name, "missing; the next run that needs it makes it", "", ""
    origin, found = inspection.provenance(shard), inspection.contents([shard])
    made = (
        f"{origin.get('computed', '?')} rows computed on {origin.get('device', '?')} in {origin.get('wall_s', '?')} s"
    )
    if any((seconds := origin.get("seconds", {})).values()):
        made += f", limited by {LIMITS[max(seconds, key=seconds.__getitem__)]}"
    return shard.name, format_count(len(found.keys), "video"), format_size(shard.stat().st_size), made


def _extent(smallest: tuple[int, ...], largest: tuple[int, ...]) -> str:
    axes = [str(low) if low == high else f"{low}–{high}" for low, high in zip(smallest, largest, strict=True)]
    return f"({', '.join(axes)})"


def _weights(file: Path) -> Iterator[str]:
    found = inspection.tensors(file)
    numbers = sum(int(np.prod(tensor.shape)) for tensor in found.values())
    yield f"tensors: {len(found)}, {numbers:,} numbers"
    yield from aligned([(name, tensor.dtype, str(tensor.shape)) for name, tensor in found.items()], indent="  ")


def _scores(file: Path) -> Iterator[str]:
    scores = Scores.load(file)
    counted = f"{len(scores.ids)} videos × {len(scores.classes)} classes"
    yield f"scores: {counted}, {scores.kind}; without scores: {len(scores.failed)}"
    yield from aligned([_HEADER, *_statistics("values", scores.values)], indent="  ")
    yield f"classes: {', '.join(scores.classes)}"


def _figures(file: Path) -> Iterator[str]:
    yield from (file.with_name("table.txt")).read_text(encoding="utf-8").splitlines()
    pages = {"metrics.json": "report.html", "predictions.json": "predictions.html"}
    yield f"report: {file.with_name(pages[file.name])}"


_DESCRIBED = {".h5": _rows, ".safetensors": _weights, ".npz": _scores, ".json": _figures}


def _video(file: Path, video: str) -> Iterator[str]:
    shards = inspection.linked(file)
    found = inspection.contents(shards)
    if video in found.failures:
        yield f"{video}: no rows, as it could not be used"
        yield from aligned([FAILED_HEADER, failure_cells(video, file.parent.name, found.failures[video])], indent="  ")
        return
    if video not in found.keys:
        raise unknown_video(video, {*found.keys, *found.failures}, file)
    rows = [row for shard in shards for row in inspection.read(shard, video)]
    yield f"{video}: {format_count(len(rows), 'row')} in {file.parent.name}"
    for variant, row in enumerate(rows):
        yield variant_name(variant)
        yield from aligned([_HEADER, *_arrays(row)], indent="  ")
        yield from aligned([(name, str(value)) for name, value in row.attributes.items()], indent="  ")


_HEADER = ("array", "type", "shape", "min", "mean", "max", "NaN", "bytes")


def _arrays(row: Row) -> Iterator[tuple[str, ...]]:
    for name, array in row.arrays.items():
        yield from _statistics(name, array)


def _statistics(name: str, array: "np.ndarray[Any, Any]") -> Iterator[tuple[str, ...]]:
    """Return minimum, mean, maximum and the number of NaN over all numbers of an array."""
    missing = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    values = array[~np.isnan(array)] if missing else array
    exact = values.astype(np.float64)
    figures = [f"{figure:.4g}" for figure in (exact.min(), exact.mean(), exact.max())] if values.size else ["–"] * 3
    yield name, str(array.dtype), str(array.shape), *figures, str(missing), str(array.nbytes)
