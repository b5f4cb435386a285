"""Exports a store's rows to plain files for other tools: ``kinescope export``."""

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

ATTRIBUTES = "attributes.json"


def export(store: Path, out: Path) -> tuple[int, int]:
    """Write ``out/<video id>/<variant>/<array>.npy`` for every row of a stage, or of a shard.

    Each row's attributes lie beside its arrays, written last: a row that has its attributes is complete, and is not
    written again while its key is the same. Rows of an earlier export that the store no longer holds are removed.
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
        if [_key(folder) for folder in folders] != keys:
            for folder, row in zip(folders, inspection.read(shard, video), strict=True):
                _row(folder, row)
            new += len(keys)
        progress.update()
    return new


def _claim(out: Path, origin: Mapping[str, Any]) -> None:
    known = out / "provenance.json"
    if known.exists() and (other := json.loads(known.read_text())["fingerprint"]) != origin["fingerprint"]:
        raise InputError(f"{out} holds rows of another stage, {other}; an empty or new folder is needed")
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
    _write(folder / ATTRIBUTES, row.attributes)


def _key(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / ATTRIBUTES).read_text())["key"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):  # none, or not ours
        return None


def _strange(out: Path, variants: Mapping[str, int]) -> list[Path]:
    """Return the folders of exported rows other than those of the given numbers of variants, by video id."""
    wanted = {out / video / str(variant) for video, count in variants.items() for variant in range(count)}
    folders = [attributes.parent for attributes in out.rglob(ATTRIBUTES)]
    return [folder for folder in folders if folder not in wanted and _key(folder) is not None]


def _remove(folder: Path, out: Path) -> None:
    """Remove what an export wrote for a row, and the folders that are then empty."""
    for file in (folder / ATTRIBUTES, *folder.glob("*.npy")):
        file.unlink()
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
