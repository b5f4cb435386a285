"""Append records of finished videos to a log, each of which is whole or does not count.

``docs/store-format.md`` describes the bytes.
"""

import fcntl
import io
import os
import struct
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from pipeline.errors import UnusableVideo, naming
from pipeline.files.atomic import sync
from pipeline.rows import Row
from pipeline.store.arrays import Cut, cut
from pipeline.store.checksum import fletcher32
from pipeline.store.layout import FORMAT
from pipeline.store.table import Attributes, compact

SUFFIX = ".log"
"""Suffix of a log's file name."""
MARK = b"\x89KSR"
"""First bytes of a record."""
FIXED = struct.Struct("<4sIQQ")
"""Mark, size of the head, number of the chunks and size of all of them together."""
CRC = struct.Struct("<I")
"""The CRC-32 that follows, and that at the end of the record."""
SYNC_S = 1.0
"""Seconds after which what was appended is on the disk, as long as more is appended."""
_PENDING_BYTES = 1 << 22
_MAX_BUFFERS = 1000


class Entry(NamedTuple):
    """A row or a failure that is to be appended.

    Attributes
    ----------
    place
        Its path in a store's file.
    attributes
        Attributes of the row or of the reason.
    arrays
        The row's arrays, by name and in the order of the names.
    reason
        Why the video has no rows; None of a row.
    """

    place: str
    attributes: Attributes
    arrays: dict[str, Cut]
    reason: str | None = None

    @classmethod
    def of(cls, place: str, row: Row, **more: str) -> "Entry":
        """Return the entry of a row with further attributes."""
        return cls(place, {**row.attributes, **more}, {name: cut(row.arrays[name]) for name in sorted(row.arrays)})

    def told(self) -> list[Any]:
        """Return what the head of a record says of it: where its chunks lie follows from that."""
        arrays = {name: each.stored for name, each in self.arrays.items()}
        brief = {name: (array.dtype, array.shape, array.entries, array.value) for name, array in arrays.items()}
        return [self.place, self.attributes, brief, self.reason]

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the bytes of all chunks. Raises UnusableVideo where a number is not finite."""
        for name, each in self.arrays.items():
            if not each.array.shape:  # it has no chunks, and lies in the head
                self._check(name, each.array)
            for chunk in each.chunks():
                self._check(name, chunk.view(each.array.dtype))
                yield chunk

    def _check(self, name: str, numbers: np.ndarray) -> None:
        if numbers.dtype.kind in "fc" and not np.isfinite(numbers).all():
            reason = f"{name} came out as NaN or infinity, or too large for {numbers.dtype}"
            raise UnusableVideo(reason, int(self.attributes.get("frames", 0)))


def is_written_to(path: Path) -> bool:
    """Return whether somebody has a log open to write to it; False where the file system has no locks."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def sealed(checksums: bytes, crc: bytes) -> bytes:
    """Return the chunks' checksums, followed by the CRC-32 of them and of that of a record's head."""
    return checksums + CRC.pack(crc32(checksums, crc32(crc)))


def first_line(stage: str, version: str) -> bytes:
    """Return the first line of a log, which states the fingerprint of its stage, the format, and the CRC-32 of both."""
    told = compact({"fingerprint": stage, "format": version})
    return f"{told} {crc32(told.encode()):08x}\n".encode()


class Log:
    """A log that this process alone writes to. It is locked until it is closed, or its process has ended.

    Parameters
    ----------
    path
        The file, which is made.
    stage
        Fingerprint of the stage.

    Raises
    ------
    FileExistsError
        Where there is such a file.

    Attributes
    ----------
    close
        Closes it, if it is not closed yet.
    """

    def __init__(self, path: Path, stage: str) -> None:
        self.path = path
        self._file = io.FileIO(path, "x")
        self.close = weakref.finalize(self, self._file.close)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._end, self._synced = 0, time.monotonic()
        with naming(path):
            self._write([first_line(stage, FORMAT)])
        sync(path.parent)

    def append(self, key: str, entries: Sequence[Entry]) -> None:
        """Append a video's rows, or its failure; where that fails the log is as it was before.

        Raises
        ------
        UnusableVideo
            Where a number is not finite.
        OSError
            Where the disk does not take it.
        """
        counts = [(each.stored.chunks, each.stored.chunk_bytes) for entry in entries for each in entry.arrays.values()]
        told = {"items": [entry.told() for entry in entries], "key": key, "time": time.time()}
        head = compact(told).encode()
        fixed = FIXED.pack(MARK, len(head), sum(n for n, _ in counts), sum(n * size for n, size in counts))
        crc = CRC.pack(crc32(head, crc32(fixed)))
        before = self._end
        try:
            with naming(self.path):
                checksums = self._write_chunks([fixed, crc, head], entries)
                self._write([sealed(checksums, crc)])
        except BaseException:  # told to end, too
            self._file.truncate(before)
            self._file.seek(before)
            self._end = before
            raise
        if time.monotonic() - self._synced > SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Have the system write the log to the disk."""
        os.fdatasync(self._file.fileno())
        self._synced = time.monotonic()

    def _write_chunks(self, pending: list[Any], entries: Sequence[Entry]) -> bytes:
        """Write some bytes, and then all chunks, and return the checksums of these."""
        checksums, size = [], 0
        for chunk in (chunk for entry in entries for chunk in entry.chunks()):
            checksums.append(fletcher32(chunk))
            pending.append(chunk.data)
            size += len(chunk)
            if size > _PENDING_BYTES or len(pending) >= _MAX_BUFFERS:
                self._write(pending)
                pending, size = [], 0
        self._write(pending)
        return np.array(checksums, "<u4").tobytes()

    def _write(self, buffers: list[Any]) -> None:
        while buffers := [buffer for buffer in buffers if len(buffer)]:
            written = os.writev(self._file.fileno(), buffers)
            self._end += written
            for place, buffer in enumerate(buffers):
                buffers[place] = memoryview(buffer)[min(written, len(buffer)) :]
                written = max(0, written - len(buffer))
