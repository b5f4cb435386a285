"""Compares two sets of features: ``kinescope compare``."""

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.compare.differences import Arrays, Difference, FeatureSet, compare
from pipeline.compare.sources import NpyFolder, PlainFile, Stored
from pipeline.errors import InputError
from pipeline.files.progress import Bar
from pipeline.results.tables import aligned
from pipeline.store import inspection
from tasks.commands.store_layout import as_stage_folder, rows_file
from tasks.quantities import format_count

HEADER = ("video", "variant", "array", "cosine", "min cosine", "max difference", "EPE px", "95 %", "not finite", "")
SUMMARY = ("array", "rows", "cosine", "min cosine", "max difference", "EPE px", "95 %")


def differences(a: Path, b: Path, array: str | None = None) -> list[Difference]:
    """Measure the differences of every video, variant and array, or of one array.

    Parameters
    ----------
    a, b : Path
        A stage's folder, its index or a shard; an HDF5 file with a data set or group for each video; or a folder of
        .npy files.
    array : str, optional
        Name of the only array to be compared.

    Raises
    ------
    InputError
        Where a side has no features, or the two have no video in common.
    """
    first = open_features(a, frozenset())
    second = open_features(b, first.videos)
    if isinstance(first, PlainFile):
        first = open_features(a, second.videos)
    for path, side in ((a, first), (b, second)):
        if not side.videos:
            raise InputError(f"{path} holds no features: {FORMS}")
    if not first.videos & second.videos:
        examples = f"such as {min(first.videos)!r} and {min(second.videos)!r}"
        raise InputError(f"no video is in both {a} and {b}: their ids are {examples}; the same ids are needed")
    videos = sorted({*first.videos, *second.videos, *first.failed, *second.failed})
    shown = Bar(videos, desc="compare", unit="video")
    return [one for video in shown for one in compare(first, second, video, array)]


FORMS = (
    "a stage of an extractor, its index.h5 or a shard, an HDF5 file with a data set or group for each video, "
    "or a folder of <video id>.npy is needed"
)


class StoredPictures(Stored):
    """Rows of some shards, whose encoded pictures are decoded."""

    def read(self, video: str) -> list[Arrays]:
        return [_decoded(arrays) for arrays in super().read(video)]


def _decoded(arrays: Arrays) -> Arrays:
    encoded = [name for name in arrays if f"{name}_offsets" in arrays]
    if not encoded:
        return arrays
    from extractors.pictures import pictures

    decoded = {name: np.stack(pictures(arrays, name, 0, len(arrays["start_frames"]))) for name in encoded}
    rest = {name: array for name, array in arrays.items() if name.removesuffix("_offsets") not in encoded}
    return {**rest, **decoded}


def open_features(path: Path, known: Collection[str]) -> FeatureSet:
    """Open the features at a path.

    Parameters
    ----------
    path : Path
        One of ``FORMS``.
    known : Collection of str
        Ids of videos, which distinguish the groups of a plain HDF5 file from its videos.

    Raises
    ------
    InputError
        Where the path holds no features.
    """
    if (stage_folder := as_stage_folder(path)) is not None:
        index = stage_folder.folder / "index.h5"
        return StoredPictures(inspection.linked(index) if index.exists() else stage_folder.shards or [rows_file(path)])
    if path.is_dir():
        return NpyFolder(path)
    if path.suffix not in (".h5", ".hdf5"):
        raise InputError(f"{path} holds no features: {FORMS}")
    return StoredPictures(inspection.linked(path)) if inspection.is_sealed(path) else PlainFile(path, known)


def format_differences(found: Sequence[Difference], tolerance: float, top: int) -> Iterator[str]:
    """Format differences as lines: the ``top`` worst, a summary of each array, and a verdict.

    Parameters
    ----------
    found : Sequence of Difference
        All differences.
    tolerance : float
        Largest difference between numbers that count as equal.
    top : int
        Number of differences that are listed.
    """
    apart = sorted((one for one in found if not one.within(tolerance)), key=_badness)
    if apart[:top]:
        yield from _aligned([HEADER, *map(_cells, apart[:top])])
        if len(apart) > top:
            yield f"… and {len(apart) - top} more; --top {len(apart)} lists all"
        yield ""
    compared = [one for one in found if not one.remark]
    names = sorted({one.array for one in compared})
    if names:
        yield from _aligned([SUMMARY, *(_summary([one for one in compared if one.array == name]) for name in names)])
    yield _verdict(found, apart, tolerance)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align the columns that are not empty below their headers."""
    filled = [place for place in range(len(rows[0])) if any(row[place] for row in rows[1:])]
    return aligned([[row[place] for place in filled] for row in rows])


def _badness(one: Difference) -> tuple[bool, float, float, str]:
    cosine = 1.0 if one.least_cosine is None else one.least_cosine
    return not one.remark, -(one.max_difference or 0.0), cosine, one.video


def _cells(one: Difference) -> tuple[str, ...]:
    variant = "" if one.variant is None else str(one.variant)
    not_finite = " / ".join(map(str, one.not_finite)) if any(one.not_finite) else ""
    return one.video, variant, one.array, *_figures(one), not_finite, one.remark


def _figures(one: Difference) -> tuple[str, ...]:
    cosines = ["" if value is None else f"{value:.6f}" for value in (one.mean_cosine, one.least_cosine)]
    others = (one.max_difference, one.mean_epe_px, one.epe95_px)
    return *cosines, *("" if value is None else f"{value:.4g}" for value in others)


def _summary(rows: Sequence[Difference]) -> tuple[str, ...]:
    """Summarise an array: means of means, and the worst of the other figures."""

    def known(field: str) -> list[float]:
        return [value for one in rows if (value := getattr(one, field)) is not None]

    means = [known("mean_cosine"), known("mean_epe_px")]
    over_all = Difference(
        "",
        mean_cosine=math.fsum(means[0]) / len(means[0]) if means[0] else None,
        least_cosine=min(known("least_cosine"), default=None),
        max_difference=max(known("max_difference"), default=None),
        mean_epe_px=math.fsum(means[1]) / len(means[1]) if means[1] else None,
        epe95_px=max(known("epe95_px"), default=None),
    )
    return rows[0].array, str(len(rows)), *_figures(over_all)


def _verdict(found: Sequence[Difference], apart: Sequence[Difference], tolerance: float) -> str:
    whole = [one.remark for one in apart if one.variant is None]
    only = [sum(remark.startswith(f"only in {side}") for remark in whole) for side in "AB"]
    compared, differing = (sum(not one.remark for one in some) for some in (found, apart))
    by = f" by more than {tolerance:g}" if tolerance else ""
    parts = [
        f"{format_count(len({one.video for one in found if one.variant is not None}), 'video')} in both",
        *(f"{count} only in {side}" for side, count in zip("AB", only, strict=True) if count),
        f"{format_count(compared, 'array')} compared",
        f"{differing or 'none'} differ{'s' if differing == 1 else ''}{by}",
    ]
    unmatched = len(apart) - differing - len(whole)
    return ", ".join([*parts, *([f"{unmatched} on one side only or of different shape"] if unmatched else [])])
