"""Read logs of finished videos: whole records count, and what is damaged is passed over and said."""

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from pipeline.files.place import Contradiction, refuse_folder
from pipeline.store.arrays import CHECKSUM_BYTES, StoredArray
from pipeline.store.layout import refuse_newer
from pipeline.store.log import CRC, FIXED, MARK, first_line, sealed
from pipeline.store.table import Item, Table

_BEFORE = FIXED.size + CRC.size
_FIRST = b'{"fingerprint":'
_MAX_LINE = 1 << 12
_BLOCK = 1 << 20


class Record(NamedTuple):
    """A whole record of a log.

    Attributes
    ----------
    key
        Key of the video.
    time
        When it was finished, in seconds of the system's clock.
    items
        Its rows, or its failure, with their places.
    end
        Where it ends in the file, in bytes.
    """

    key: str
    time: float
    items: list[tuple[str, Item]]
    end: int


class LogReader:
    """A log, open for reading.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    Contradiction
        Where it is no log.
    NewerFormat
        Where a newer kinescope reads it.
    OSError
        Where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        refuse_folder(path)
        self.path = path
        self.file = os.open(path, os.O_RDONLY)
        try:
            self.stage, self.start = self._first_line()
            self.size = os.fstat(self.file).st_size
        except BaseException:
            os.close(self.file)
            raise

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.file)

    def records(self) -> Iterator[Record]:
        """Yield the whole records up to the first that is not; the chunks are not read."""
        offset = self.start
        while (record := self._record(offset)) is not None:
            yield record
            offset = record.end

    def all_records(self, *, check: bool) -> Iterator[Record]:
        """Yield all whole records, also those after damaged ones.

        Parameters
        ----------
        check
            Whether the chunks are read and compared with their checksums, and damage is warned of.
        """
        offset = self.start
        while offset < self.size:
            record = self._record(offset)
            if record is not None and not (check and self._is_damaged(record)):
                yield record
                offset = record.end
                continue
            following = self._next(offset + 1 if record is None else record.end)
            if check and (following < self.size or not self._is_torn(offset)):
                warnings.warn(
                    f"{self.path} is damaged at byte {offset}: what is not whole there is computed again",
                    RuntimeWarning,
                    stacklevel=2,
                )
            offset = following

    def _first_line(self) -> tuple[str, int]:
        line, end, _ = os.pread(self.file, _MAX_LINE, 0).partition(b"\n")
        if not end and MARK not in line and (line.startswith(_FIRST) or _FIRST.startswith(line)):
            return "", len(line)  # its process was killed before it came further
        try:
            told = json.loads(line.rpartition(b" ")[0])
            stage, stated = str(told["fingerprint"]), str(told["format"])
        except (ValueError, KeyError, TypeError):
            stage, stated = "", ""
        if line + end != first_line(stage, stated):
            raise Contradiction("its first line does not say what it is")
        refuse_newer(self.path, stated)
        return stage, len(line) + len(end)

    def _record(self, offset: int) -> Record | None:
        """Return the record that begins at an offset; None where no whole one does."""
        before = os.pread(self.file, _BEFORE, offset)
        if len(before) < _BEFORE:
            return None
        mark, head_size, count, size = FIXED.unpack_from(before)
        chunks = offset + _BEFORE + head_size
        ending = chunks + size
        end = ending + CHECKSUM_BYTES * count + CRC.size
        if mark != MARK or end > self.size:
            return None
        head = os.pread(self.file, head_size, offset + _BEFORE)
        checksums = os.pread(self.file, CHECKSUM_BYTES * count + CRC.size, ending)
        crc = CRC.pack(crc32(head, crc32(before[: FIXED.size])))
        if before[FIXED.size :] + checksums != crc + sealed(checksums[: -CRC.size], crc):
            return None
        told = json.loads(head)
        return Record(told["key"], told["time"], _items(told["items"], chunks, checksums), end)

    def _is_damaged(self, record: Record) -> bool:
        arrays = [array for _, item in record.items for array in item.arrays.values()]
        try:
            for array in arrays:
                for number in range(array.chunks):
                    array.chunk(self.file, number)
        except Contradiction:
            return True
        return False

    def _next(self, offset: int) -> int:
        """Return where the next whole record begins, or the log ends."""
        while offset < self.size:
            place = os.pread(self.file, _BLOCK, offset).find(MARK)
            if place >= 0 and self._record(offset + place) is not None:
                return offset + place
            offset += place + 1 if place >= 0 else _BLOCK - len(MARK) + 1
        return self.size

    def _is_torn(self, offset: int) -> bool:
        """Return whether a record begins at an offset of which only the end is missing."""
        before = os.pread(self.file, _BEFORE, offset)
        if len(before) < _BEFORE:
            return before[: len(MARK)] == MARK[: len(before)]
        mark, head_size, count, size = FIXED.unpack_from(before)
        end = offset + _BEFORE + head_size + size + CHECKSUM_BYTES * count + CRC.size
        return bool(mark == MARK and end > self.size)


def table_of_log(path: Path) -> Table:
    """Return a table of what a log holds; where it holds a place or a key twice, the last one counts.

    Raises Contradiction where the file is no log, and otherwise as ``LogReader``.
    """
    table = Table()
    with LogReader(path) as log:
        for record in log.all_records(check=False):
            for place, item in record.items:
                table.add(place, item)
    return table


def _items(told: list[Any], offset: int, checksums: bytes) -> list[tuple[str, Item]]:
    """Return the items that a head tells, whose chunks lie one after another from an offset on."""
    items, rest = [], np.frombuffer(checksums, "<u4").tolist()
    for place, attributes, arrays, reason in told:
        stored = {}
        for name, (dtype, shape, entries, value) in arrays.items():
            array = StoredArray(dtype, tuple(shape), entries, value=value)
            count, size = array.chunks, array.chunk_bytes
            offsets = tuple(offset + size * number for number in range(count))
            stored[name] = StoredArray(dtype, array.shape, entries, offsets, tuple(rest[:count]), value)
            rest, offset = rest[count:], offset + size * count
        items.append((place, Item(attributes, stored, reason)))
    return items
