"""Lay out rows in an HDF5 file.

A journal file, a shard and an index alike hold::

    /videos/<video id>/variant-<n>/<array>      attributes of the group: key, source_digest, fps, frames, …
    /failures/<video id>/reason                 one string; attributes: key, frames_decoded

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

from pipeline.errors import NewerFormat, UnusableVideo
from pipeline.files.atomic import quarantine
from pipeline.files.deferred_errors import DeferredErrors
from pipeline.files.place import Contradiction, check_place, refuse_folder
from pipeline.rows import REASON, Failure, Row, variant_name
from pipeline.store.held import open_when_free

FORMAT = "kinescope-store/1"
"""Version of this layout, which files without the attribute ``format`` have as well: the first ones stated none."""
CHUNK_BYTES = 1 << 20
"""Largest size of a chunk, but for a single step of an array that is larger."""
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


def write_row(group: h5py.Group, key: str, source_digest: str, row: Row) -> None:
    """Write a row's arrays and attributes into its group.

    Parameters
    ----------
    group
        The row's empty group.
    key
        The row's key.
    source_digest
        Digest of the file that the row comes from.
    row
        What is written.

    Raises
    ------
    UnusableVideo
        Where a number is not finite.
    """
    for name, array in row.arrays.items():
        array = np.asarray(array)
        steps = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
        # part by part: what lies in a file may be larger than the memory
        chunks = (array[first : first + steps] for first in range(0, len(array), steps))
        if array.dtype.kind == "f" and not all(np.isfinite(chunk).all() for chunk in chunks):
            reason = f"{name} came out as NaN or infinity, or too large for {array.dtype}"
            raise UnusableVideo(reason, int(row.attributes.get("frames", 0)))
        if array.size:
            group.create_dataset(name, data=array, chunks=(min(steps, len(array)), *array.shape[1:]), fletcher32=True)
        else:
            group.create_dataset(name, data=array)
    attributes = {**row.attributes, "key": key, "source_digest": source_digest}
    group.attrs.update(
        {name: fixed_text(value) if isinstance(value, str) else value for name, value in attributes.items()}
    )


def fixed_text(value: str) -> np.bytes_:
    """Return a string of fixed length: HDF5 keeps others in a heap, which has no checksum."""
    return np.bytes_(value.encode())


def attributes_of(group: h5py.Group) -> dict[str, float | int | str]:
    """Return the attributes of a row's group as Python values."""
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in group.attrs.items()}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def failure_of(reason: h5py.Dataset) -> Failure:
    """Return the failure that a reason's dataset holds."""
    return Failure(reason[0].decode(), int(reason.attrs["frames_decoded"]))


def keys_of(path: Path) -> list[tuple[str, str]]:
    """Return key and path of every row and failure in a sealed file; copies of one file under two ids share their keys.

    Raises DamagedStore where the file is damaged; it is quarantined.
    """
    try:
        with open_sealed(path) as file:
            return places_of(file)
    except DAMAGE as error:
        quarantine(path, error)


def places_of(file: h5py.File) -> list[tuple[str, str]]:
    """Return key and path of every row and failure in an open file."""
    return [(item.attrs["key"].decode(), place) for place, item in items_of(file)]


def items_of(file: h5py.File) -> list[tuple[str, "h5py.Group | h5py.Dataset"]]:
    """Return path and object of every row and failure in an open file; those behind an index's links are not in it."""
    found: list[tuple[str, h5py.Group | h5py.Dataset]] = []

    def note(place: str, item: h5py.Group | h5py.Dataset) -> None:
        if "key" in item.attrs:
            found.append((place, item))

    file.visititems(note)
    return found


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
        found = format_of(file)
        if found != FORMAT:
            raise NewerFormat(f"{path} has the format {found}, and {FORMAT} is read here: a newer kinescope reads it")
        check_place(path, file.attrs.get("provenance"))
    except BaseException:
        file.close()
        raise
    return file


def format_of(file: h5py.File) -> str:
    """Return the format that a file states; ``FORMAT`` for one that states none, or is of other making."""
    stated = file.attrs.get("format", b"")
    text = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)
    return text if text.startswith(f"{FORMAT.partition('/')[0]}/") else FORMAT


def open_sealed(path: Path) -> h5py.File:
    """Open a sealed file for reading.

    Raises DamagedStore where it is damaged, or belongs elsewhere, and quarantines it; otherwise as ``open_file``.
    """
    try:
        return open_file(path)
    except DAMAGE as error:
        quarantine(path, error)
