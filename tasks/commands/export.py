"""Exports a store's rows to plain files for other tools: ``kinescope export``."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path, write_text
from pipeline.rows import Row
from pipeline.store import inspection
from tasks.commands.store_layout import rows_file
from tasks.library import Library

ATTRIBUTES, DIGESTS = "attributes.json", "digests.json"


def export(store: Path, out: Path) -> tuple[int, int]:
    """Write ``out/<video id>/<variant>/<array>.npy`` for every row of a stage, or of a shard.

    Each row's attributes, and the SHA-256 of its files, lie beside its arrays; the attributes are written last. A row
    that has them under the same key, and whose files are as they were written, is not written again. Rows of an earlier
    export that the store no longer holds are removed.
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
    with tqdm(total=len(found.keys), desc="export", unit="video", disable=None) as progress:
        return sum(_shard(shard, out, progress) for shard in shards), len(gone)


def _shard(shard: Path, out: Path, progress: "tqdm[None]") -> int:
    new = 0
    for video, keys in inspection.contents([shard]).keys.items():
        folders = [_below(out, f"{video}/{variant}") for variant in range(len(keys))]
        if [_key(folder) for folder in folders] != keys or not all(map(_is_whole, folders)):
            for folder, row in zip(folders, inspection.read(shard, video), strict=True):
                _row(folder, row)
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


def _row(folder: Path, row: Row) -> None:
    (folder / ATTRIBUTES).unlink(missing_ok=True)
    for name, array in row.arrays.items():
        with atomic_path(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    _write(folder / DIGESTS, {name: _digest(folder / name) for name in (f"{array}.npy" for array in row.arrays)})
    _write(folder / ATTRIBUTES, row.attributes)


def _key(folder: Path) -> str | None:
    key = _table(folder / ATTRIBUTES).get("key")
    return None if key is None else str(key)


def _is_whole(folder: Path) -> bool:
    """Return whether the arrays of a row are those that were written."""
    digests = _table(folder / DIGESTS)
    try:
        return bool(digests) and all(_digest(folder / name) == digest for name, digest in digests.items())
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
