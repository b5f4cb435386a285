"""Lay out rows in an HDF5 file.

A shard and an index alike hold::

    /videos/<video id>/variant-<n>/<array>      attributes of the group: key, source_digest, fps, frames, …
    /failures/<video id>/reason                 one string; attributes: key, frames_decoded
    /table                                      where each of them lies

An index holds external links to the shards' variants and reasons. Each says in the root's attribute ``format`` which
version of this layout it has. Plain HDF5 1.10 format, whose structures are checksummed; every array is chunked and
carries Fletcher-32 checksums, nothing is compressed. ``docs/store-format.md`` says it in full.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import NewerFormat
from pipeline.files.deferred_errors import DeferredErrors
from pipeline.files.place import Contradiction, check_place, refuse_folder
from pipeline.rows import REASON, variant_name
from pipeline.store.held import open_when_free

FORMAT = "kinescope-store/2"
"""Version of this layout."""
FORMAT_1 = "kinescope-store/1"
"""Version without a table, which files without the attribute ``format`` have as well: the first ones stated none."""
TABLE = "table"
"""Path of the table in a file."""
_HDF5 = {"libver": ("v110", "v110")}
DAMAGE = (OSError, KeyError, RuntimeError, Contradiction)
"""Exceptions that are raised where a file is truncated or altered, by h5py, or not the one that belongs there."""


def row_path(video: str, variant: int) -> str:
    """Return the path of a row's group in the file.

    Examples
    --------
    >>> row_path("boxing/person01", 0)
    'videos/boxing/person01/variant-0'
    """
    return f"videos/{video}/{variant_name(variant)}"


def failure_path(video: str) -> str:
    """Return the path of a failure's reason in the file.

    Examples
    --------
    >>> failure_path("boxing/person01")
    'failures/boxing/person01/reason'
    """
    return f"failures/{video}/{REASON}"


def canonical_json(value: Mapping[str, Any]) -> str:
    """Return the JSON text of ``value`` with sorted keys.

    Examples
    --------
    >>> canonical_json({"stage": "Extract", "device": "cpu"})
    '{"device": "cpu", "stage": "Extract"}'
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def fixed_text(value: str) -> np.bytes_:
    """Return a string of fixed length: HDF5 keeps others in a heap, which has no checksum."""
    return np.bytes_(value.encode())


def state_provenance(file: h5py.File, value: Mapping[str, Any]) -> None:
    """Write what a file says of its origin, JSON values."""
    file.attrs["provenance"] = fixed_text(canonical_json(value))


@contextmanager
def new_file(path: Path) -> Iterator[h5py.File]:
    """Create a HDF5 file to write to. Raises OSError at the block's end where the disk did not take all of it."""
    with DeferredErrors(path) as taking, h5py.File(taking, "w", **_HDF5) as file:
        file.attrs["format"] = fixed_text(FORMAT)
        yield file


def open_file(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises
    ------
    OSError
        Where it is damaged, or there is none.
    Contradiction
        Where it belongs elsewhere.
    NewerFormat
        Where a newer kinescope reads it.
    HeldOpen
        Where another program goes on writing to it.
    """
    refuse_folder(path)
    file = open_when_free(path)
    try:
        refuse_newer(path, format_of(file))
        check_place(path, file.attrs.get("provenance"))
    except BaseException:
        file.close()
        raise
    return file


def refuse_newer(path: Path, found: str) -> None:
    """Raise NewerFormat where a file has a format that is not read here."""
    if found not in (FORMAT, FORMAT_1):
        raise NewerFormat(f"{path} has the format {found}, and {FORMAT} is read here: a newer kinescope reads it")


def format_of(file: h5py.File) -> str:
    """Return the format that a file states; ``FORMAT_1`` for one that states none, or is of other making."""
    stated = file.attrs.get("format", b"")
    text = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)
    return text if text.startswith(f"{FORMAT.partition('/')[0]}/") else FORMAT_1
