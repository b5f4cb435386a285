"""What stands in a store, told to people: ``kinescope inspect`` and ``kinescope failures``."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import InputError, NewerFormat
from pipeline.rows import Failure, Row
from pipeline.scoring.scores import Scores
from pipeline.store import inspection
from tasks.commands.dependency_order import upstream_first
from tasks.commands.store_layout import (
    SHOWN,
    StageFolder,
    as_shelf,
    bytes_of,
    datasets,
    flattened,
    is_dataset,
    rows_file,
    shelves,
    unknown_video,
)
from tasks.commands.text_tables import size, table
from tasks.features import Extract

if TYPE_CHECKING:
    from pipeline.store.inspection import Contents
    from tasks.evaluation import Evaluate

NOT_PROVENANCE = ("stage", "fingerprint")


def describe(path: Path, video: str | None = None) -> Iterator[str]:
    """Lines about a store, a data set's folder, a stage's, or one file; or about the rows of one video in it."""
    shelf = as_shelf(path)
    file = shelf.output if shelf else path if path.is_file() else None
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
        made = "is the folder of a stage that has made nothing yet" if shelf else "holds nothing that kinescope made"
        raise InputError(f"{path} {made}: a store, or a data set, stage or file in one, is needed")


def failed(video: str, stage: str, failure: Failure) -> tuple[str, str, str, str]:
    """The cells of a line about a video that could not be used."""
    return video, stage, str(failure.frames_decoded), failure.reason


def failed_in(found: Iterable[StageFolder]) -> Iterator[str]:
    """A line for each video that could not be used, of each stage that met it."""
    lines = [
        failed(video, shelf.folder.name, failure)
        for shelf in found
        if (shelf.folder / "index.h5").exists() or shelf.shards
        for video, failure in sorted(shelf.contents().failures.items())
    ]
    yield from table([FAILED_HEADER, *lines], indent="") if lines else ["no video has failed"]


def read_by(evaluation: "Evaluate") -> list[StageFolder]:
    """The stages with rows that an experiment reads, those that are there. Raises InputError without an index."""
    stages = upstream_first(evaluation.runs.stages(), lambda _: True)
    folders = [stage.folder for stage in stages if isinstance(stage, Extract)]
    return [shelf for folder in folders if (shelf := as_shelf(folder)) is not None]


FAILED_HEADER = ("video", "stage", "frames decoded", "reason")


def _dataset(folder: Path) -> Iterator[str]:
    found = shelves(folder)
    yield f"{folder}: data set, {len(found)} stages"
    if found:
        yield from table([_shelf(shelf) for shelf in found])


def _shelf(shelf: StageFolder) -> tuple[str, str, str, str]:
    held = size(bytes_of(shelf.folder))
    if shelf.output is None:
        return shelf.folder.name, "not finished", "", held
    try:
        stage = str(inspection.provenance(shelf.output)["stage"])
        found = shelf.contents()
    except InputError as error:
        state = "of a newer format" if isinstance(error, NewerFormat) else "damaged"
        return shelf.folder.name, state, str(error), held
    what = f"{len(found.keys)} videos" + (f", {len(found.failures)} failed" if found.failures else "")
    return shelf.folder.name, stage, what if shelf.output.suffix == ".h5" else "", held


def _file(file: Path, path: Path) -> Iterator[str]:
    if file.suffix not in _DESCRIBED:
        raise InputError(f"{file} is no file of a store: one ending in {', '.join(_DESCRIBED)} is needed")
    origin = inspection.provenance(file)
    yield f"{path}: {origin['stage']}, {size(file.stat().st_size)} in {file.name}"
    yield from _DESCRIBED[file.suffix](file)
    yield "provenance"
    leaves = flattened({name: value for name, value in origin.items() if name not in NOT_PROVENANCE})
    yield from table([(name, str(value)) for name, value in leaves.items()])


def _rows(file: Path) -> Iterator[str]:
    shards = inspection.linked(file)
    found = inspection.contents(shards)
    yield f"format: {inspection.format_of(file)}"
    yield from _tree(found)
    yield f"shards: {len(shards)}"
    yield from table([_shard(shard) for shard in shards] or [("none",)])
    yield f"failures: {len(found.failures)}"
    if found.failures:
        lines = [failed(video, file.parent.name, failure) for video, failure in sorted(found.failures.items())]
        yield from table([FAILED_HEADER, *lines])


def _tree(found: "Contents") -> Iterator[str]:
    """The arrays of all rows together, as a row's group in the file shows them."""
    ids = sorted(found.keys)
    listed = ", ".join(ids[:SHOWN]) + (", …" if len(ids) > SHOWN else "")
    yield f"videos/<id>/variant-<n>: {len(ids)} ids, {found.rows} rows: {listed}"
    arrays = sorted(found.arrays.items())
    marks = ["├─"] * (len(arrays) - 1) + ["└─"]
    rows = [
        (f"{mark} {name}", "/".join(sorted(array.dtypes)), _extent(array.smallest, array.largest), f"{array.rows} rows",
         f"{array.bytes} bytes", size(array.bytes))
        for mark, (name, array) in zip(marks, arrays, strict=False)
    ]  # fmt: skip
    if rows:
        yield from table(rows)


def _shard(shard: Path) -> tuple[str, ...]:
    if not shard.exists():
        return shard.name, "missing: the next run makes it", "", ""
    origin, found = inspection.provenance(shard), inspection.contents([shard])
    made = f"{origin.get('computed', '?')} computed on {origin.get('device', '?')} in {origin.get('wall_s', '?')} s"
    return shard.name, f"{len(found.keys)} videos", size(shard.stat().st_size), made


def _extent(smallest: tuple[int, ...], largest: tuple[int, ...]) -> str:
    axes = [str(low) if low == high else f"{low}–{high}" for low, high in zip(smallest, largest, strict=True)]
    return f"({', '.join(axes)})"


def _weights(file: Path) -> Iterator[str]:
    found = inspection.tensors(file)
    numbers = sum(int(np.prod(tensor.shape)) for tensor in found.values())
    yield f"tensors: {len(found)}, {numbers:,} numbers"
    yield from table([(name, tensor.dtype, str(tensor.shape)) for name, tensor in found.items()])


def _scores(file: Path) -> Iterator[str]:
    scores = Scores.load(file)
    counted = f"{len(scores.ids)} videos × {len(scores.classes)} classes"
    yield f"scores: {counted}, {scores.kind}; without scores: {len(scores.failed)}"
    yield from table([_HEADER, *_statistics("values", scores.values)])
    yield f"classes: {', '.join(scores.classes)}"


def _figures(file: Path) -> Iterator[str]:
    yield from (file.with_name("table.txt")).read_text(encoding="utf-8").splitlines()
    yield f"report: {file.with_name('report.html')}"


_DESCRIBED = {".h5": _rows, ".safetensors": _weights, ".npz": _scores, ".json": _figures}


def _video(file: Path, video: str) -> Iterator[str]:
    shards = inspection.linked(file)
    found = inspection.contents(shards)
    if video in found.failures:
        yield f"{video}: no rows, it could not be used"
        yield from table([FAILED_HEADER, failed(video, file.parent.name, found.failures[video])])
        return
    if video not in found.keys:
        raise unknown_video(video, {*found.keys, *found.failures}, file)
    rows = [row for shard in shards for row in inspection.read(shard, video)]
    yield f"{video}: {len(rows)} rows in {file.parent.name}"
    for variant, row in enumerate(rows):
        yield f"variant-{variant}"
        yield from table([_HEADER, *_arrays(row)])
        yield from table([(name, str(value)) for name, value in row.attributes.items()])


_HEADER = ("array", "type", "shape", "min", "mean", "max", "NaN", "bytes")


def _arrays(row: Row) -> Iterator[tuple[str, ...]]:
    for name, array in row.arrays.items():
        yield from _statistics(name, array)


def _statistics(name: str, array: "np.ndarray[Any, Any]") -> Iterator[tuple[str, ...]]:
    """Minimum, mean, maximum and the number of NaN, of all numbers of an array."""
    missing = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    values = array[~np.isnan(array)] if missing else array
    exact = values.astype(np.float64)
    figures = [f"{figure:.4g}" for figure in (exact.min(), exact.mean(), exact.max())] if values.size else ["–"] * 3
    yield name, str(array.dtype), str(array.shape), *figures, str(missing), str(array.nbytes)
