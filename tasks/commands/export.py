"""Exports a store's rows to plain files for other tools: ``kinescope export``."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extractors.pictures import picture
from extractors.tvl1.config import TVL1, pixels
from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path, write_text
from pipeline.files.progress import Bar
from pipeline.rows import Partial, Row
from pipeline.store import inspection
from tasks.commands.store_layout import rows_file
from tasks.library import Library

ATTRIBUTES, DIGESTS = "attributes.json", "digests.json"


@dataclass(frozen=True)
class Pictures:
    """Pictures of a row, which are decoded one by one; those of optical flow become one array.

    Attributes
    ----------
    arrays : mapping of str to Partial
        The row's arrays.
    names : tuple of str
        Names of the pictures; of optical flow x and y.
    bound_px : float or None
        Largest component of optical flow in pixels; None for other pictures.
    """

    arrays: Mapping[str, Partial]
    names: tuple[str, ...]
    bound_px: float | None = None

    def __len__(self) -> int:
        return len(np.asarray(self.arrays["start_frames"][:]))

    def __getitem__(self, index: int) -> np.ndarray:
        parts = [picture(self.arrays, name, index) for name in self.names]
        return parts[0] if self.bound_px is None else pixels(np.stack(parts, axis=-1), self.bound_px)

    def save(self, path: Path) -> None:
        """Write them as one .npy file, one by one, so that memory does not grow with the video."""
        first = self[0]
        header = {
            "descr": np.lib.format.dtype_to_descr(first.dtype),
            "fortran_order": False,
            "shape": (len(self), *first.shape),
        }
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for index in range(len(self)):
                file.write(np.ascontiguousarray(self[index]).data)


def decoded(arrays: Mapping[str, Any], bound_px: float | None) -> dict[str, Any]:
    """Put ``Pictures`` into the place of a row's encoded pictures, and of x and y of optical flow; all else stays.

    >>> sorted(decoded(dict.fromkeys(["x", "x_offsets", "y", "y_offsets", "start_frames"]), 20.0))
    ['flow', 'start_frames']
    """
    flow = {"flow": Pictures(arrays, ("x", "y"), bound_px)} if bound_px is not None else {}
    encoded = {name: Pictures(arrays, (name,)) for name in arrays if not flow and f"{name}_offsets" in arrays}
    replaced = {"x", "y"} if flow else encoded.keys()
    rest = {name: array for name, array in arrays.items() if name.removesuffix("_offsets") not in replaced}
    return {**rest, **flow, **encoded}


def export(store: Path, out: Path) -> tuple[int, int]:
    """Write ``out/<video id>/<variant>/<array>.npy`` for every row of a stage, or of a shard.

    Pictures are decoded: those of frames are ``frames`` (time, height, width, 3) uint8, those of optical flow ``flow``
    (time, height, width, 2) float32, x and y in pixels. Each row's attributes, and the SHA-256 of its files, lie beside
    its arrays; the attributes are written last. A row that has them under the same key, and whose files are as they
    were written, is not written again. Rows of an earlier export that the store no longer holds are removed.
    ``provenance.json``, ``failures.json`` and ``labels.json`` lie in ``out``.

    Parameters
    ----------
    store : Path
        A stage of an extractor, its index.h5 or a shard.
    out : Path
        A new folder, or that of an earlier export of the same stage.

    Returns
    -------
    tuple of int
        Number of rows written, and of rows removed.

    Raises
    ------
    InputError
        Where the store has no rows, or ``out`` holds something else.
    """
    file = rows_file(store)
    origin = inspection.provenance(file)
    _claim(out, origin)
    shards = inspection.linked(file)
    found = inspection.contents(shards)
    failures = {video: {"reason": f.reason, "frames_decoded": f.frames_decoded} for video, f in found.failures.items()}
    _write(out / "failures.json", failures)
    _write(out / "labels.json", _labels(file.absolute().parent.parent / "index.json", {*found.keys, *failures}))
    gone = _strange(out, {video: len(keys) for video, keys in found.keys.items()})
    for folder in gone:
        _remove(folder, out)
    with Bar(total=len(found.keys), desc="export", unit="video") as progress:
        return sum(_shard(shard, out, _bound_px(origin), progress) for shard in shards), len(gone)


def _bound_px(origin: Mapping[str, Any]) -> float | None:
    """Return the largest component of stored optical flow; None where the rows are none."""
    components = origin.get("components", {})
    return float(components["bound_px"]) if components.get("name") == TVL1.model_fields["name"].default else None


def _shard(shard: Path, out: Path, bound_px: float | None, progress: Bar) -> int:
    new = 0
    found = inspection.contents([shard])
    names = {f"{name}.npy" for name in decoded(dict.fromkeys(found.arrays), bound_px)}
    for video, keys in found.keys.items():
        folders = [_below(out, f"{video}/{variant}") for variant in range(len(keys))]
        if [_key(folder) for folder in folders] != keys or not all(_is_whole(folder, names) for folder in folders):
            for folder, row in zip(folders, inspection.read(shard, video), strict=True):
                _row(folder, row, bound_px)
            new += len(keys)
        progress.update()
    return new


def _claim(out: Path, origin: Mapping[str, Any]) -> None:
    known = out / "provenance.json"
    if known.exists() and (other := _table(known).get("fingerprint")) != origin["fingerprint"]:
        what = f"rows of another stage, {other}" if other else f"a {known.name} that no export wrote"
        raise InputError(f"{out} holds {what}; an empty or new folder is needed")
    if not known.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and holds other files; an empty or new folder is needed")
    _write(known, origin)


def _labels(manifest: Path, ids: set[str]) -> dict[str, Any]:
    """Return the names of the classes, and each video's class indices by id; none without a manifest."""
    if not manifest.exists():
        return {"classes": [], "labels": {}}
    listing = Library.load(manifest).listing
    labels = {video.id: video.labels for video in listing.videos if video.id in ids}
    return {"classes": listing.classes, "labels": labels}


def _row(folder: Path, row: Row, bound_px: float | None) -> None:
    (folder / ATTRIBUTES).unlink(missing_ok=True)
    for former in map(Path, _table(folder / DIGESTS)):
        (folder / former.name).unlink(missing_ok=True)
    arrays = {f"{name}.npy": array for name, array in decoded(row.arrays, bound_px).items()}
    for name, array in arrays.items():
        with atomic_path(folder / name) as temporary:
            array.save(temporary) if isinstance(array, Pictures) else _save(temporary, array)
    _write(folder / DIGESTS, {name: _digest(folder / name) for name in arrays})
    _write(folder / ATTRIBUTES, row.attributes)


def _save(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _key(folder: Path) -> str | None:
    key = _table(folder / ATTRIBUTES).get("key")
    return None if key is None else str(key)


def _is_whole(folder: Path, names: set[str]) -> bool:
    """Return whether the files of a row's arrays are those of these names, and as they were written."""
    digests = _table(folder / DIGESTS)
    try:
        return digests.keys() == names and all(_digest(folder / name) == digest for name, digest in digests.items())
    except OSError:  # one is missing, or is no file
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _table(path: Path) -> dict[str, Any]:
    """Read a file of JSON that an export may have written; {} where there is none, or another's."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _strange(out: Path, variants: Mapping[str, int]) -> list[Path]:
    """Return the folders of exported rows other than those of the given numbers of variants, by video id."""
    wanted = {out / video / str(variant) for video, count in variants.items() for variant in range(count)}
    folders = [attributes.parent for attributes in out.rglob(ATTRIBUTES)]
    return [folder for folder in folders if folder not in wanted and _key(folder) is not None]


def _remove(folder: Path, out: Path) -> None:
    """Remove what an export wrote for a row, and the folders that are then empty."""
    for file in (folder / ATTRIBUTES, folder / DIGESTS, *folder.glob("*.npy")):
        file.unlink(missing_ok=True)
    for parent in (folder, *folder.parents):
        if parent == out or any(parent.iterdir()):
            break
        parent.rmdir()


def _below(out: Path, relative: str) -> Path:
    path = out / relative
    if not path.resolve().is_relative_to(out.resolve()):
        raise InputError(f"video id {relative!r} leads out of {out}; a store that kinescope made has no such ids")
    return path


def _write(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
