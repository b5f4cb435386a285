"""Judge whether a video file is whole, by what its container says of its own size and length.

============== ========================================== =====================================================
container      how a missing end is noticed               what cannot be noticed
============== ========================================== =====================================================
MP4, MOV       index at the end missing, or pointing       —
               beyond the end; a box larger than the file
MP4 fragments  a box larger than the file                 a cut between two fragments, without a ``sidx``
Matroska, WebM a segment larger than the file             of a stream of unknown size: less than a tenth missing
AVI            a RIFF chunk larger than the file          a recording that was never finished
MPEG-PS        the last picture is damaged                a cut between two pictures
MPEG-TS        a packet is cut, the last picture damaged  a cut between two pictures
Ogg            a last page that is cut, or ends no stream —
ASF, WMV       a header that states a larger file         of a broadcast: a cut between two pictures
FLV            the last picture is incomplete             a cut between two pictures: less than a tenth missing
GIF            no trailer                                 —
============== ========================================== =====================================================

Whatever the container, a last picture that is incomplete or damaged is noticed, and so is the loss of more than a tenth
of the length that its header states.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

_TENTH = 0.1  # headers lie by a few frames in either direction
_STATES_LENGTH = {"mov", "matroska", "asf", "flv", "mxf"}
"""Containers whose length libav takes from the header. It guesses that of others, and AVI may end with repeats."""


def missing_end(file: BinaryIO, container: str) -> str:
    """Return how a file is seen to end too early, by its structure alone; an empty text where it does not.

    Parameters
    ----------
    file
        The file; where it is read from changes.
    container
        libav's name of the container, of several the first.
    """
    size = file.seek(0, os.SEEK_END)
    judge = _JUDGES.get(container)
    return judge(file, size) if judge else ""


def missing_length(container: str, stated_s: float, first_s: float, end_s: float) -> str:
    """Return how a file is seen to lack more than a tenth of its length; an empty text where it does not.

    Parameters
    ----------
    container
        libav's name of the container, of several the first.
    stated_s
        Length by the header, in seconds; 0 where it says none.
    first_s, end_s
        Time of the first packet, and the end of the last, in seconds; infinite where the packets have no times.
    """
    # a header may count from the first packet or from zero
    found_s = max(end_s, end_s - first_s)
    untimed = end_s < first_s
    if container not in _STATES_LENGTH or untimed or found_s >= (1 - _TENTH) * stated_s:
        return ""
    return f"its header announces {stated_s:.2f} s, but it has {found_s:.2f} s"


def _bytes_at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _beyond(end: int, size: int, what: str) -> str:
    return f"{what} ends {end - size} bytes beyond the file" if end > size else ""


def _mp4(file: BinaryIO, size: int) -> str:
    """ISO/IEC 14496-12, section 4.2: boxes, each with its size; what they hold of frames must be there."""
    for kind, end in _boxes(file, size):
        if kind in (b"moov", b"moof", b"mdat") and (beyond := _beyond(end, size, f"its box {kind.decode()}")):
            return beyond
    return ""


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    offset = 0
    while offset + 8 <= size:
        header = _bytes_at(file, offset, 16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:])
        if length < 8:  # 0, a box that goes to the end, or what was put behind the last one
            return
        offset += length
        yield kind, offset


def _avi(file: BinaryIO, size: int) -> str:
    """RIFF and its continuations for large files (OpenDML), each with its size; 0 in a recording that never ended."""
    offset = 0
    while (header := _bytes_at(file, offset, 8))[:4] == b"RIFF":
        length = int.from_bytes(header[4:], "little")
        if beyond := _beyond(offset + 8 + length, size, "its RIFF chunk"):
            return beyond
        offset += 8 + length + length % 2
    return ""


def _matroska(file: BinaryIO, size: int) -> str:
    """RFC 8794, sections 4 to 6: an EBML header, then a segment, whose size may be unknown."""
    header = _ebml_size(file, 4)
    if header is None:
        return ""
    segment = _ebml_size(file, header + 4)
    return _beyond(segment, size, "its segment") if segment is not None else ""


def _ebml_size(file: BinaryIO, offset: int) -> int | None:
    """Return where the element ends whose size stands at an offset; None where that is unknown."""
    coded = _bytes_at(file, offset, 8)
    length = 9 - coded[0].bit_length() if coded else 9
    if length > len(coded):
        return None
    value = int.from_bytes(coded[:length]) & ((1 << 7 * length) - 1)
    return None if value == (1 << 7 * length) - 1 else offset + length + value


def _mpegts(file: BinaryIO, size: int) -> str:
    """ISO/IEC 13818-1, section 2.4.3: packets of 188 bytes, 192 with a time in front, 204 with parity behind."""
    begin = _bytes_at(file, 0, 5 * 204)
    for length, sync in ((188, 0), (192, 4), (204, 0)):
        if begin[sync::length][:4] == b"GGGG":
            rest = size % length
            return f"its last packet has {rest} of {length} bytes" if rest else ""
    return ""


_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


def _ogg(file: BinaryIO, size: int) -> str:
    """RFC 3533, section 6: pages, each with the sizes of its parts; a stream's last one is marked."""
    start = max(0, size - 2 * _OGG_PAGE_BYTES)
    tail = _bytes_at(file, start, size - start)
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return "it ends within a page"
    segments = tail[page + 26]
    end = page + 27 + segments + sum(tail[page + 27 : page + 27 + segments])
    if page + 27 + segments > len(tail) or end > len(tail):
        return "it ends within a page"
    return "" if tail[page + 5] & 4 else "its last page ends no stream"


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _asf(file: BinaryIO, size: int) -> str:
    """Advanced Systems Format, section 3.2: the header's file properties state the file's size, but for a broadcast."""
    header = _bytes_at(file, 0, 2**16)
    place = header.find(_ASF_FILE_PROPERTIES)
    if place < 0 or len(header) < place + 92:
        return ""
    stated = int.from_bytes(header[place + 40 : place + 48], "little")
    broadcast = header[place + 88] & 1
    return "" if broadcast or stated <= size else f"its header announces {stated} bytes, but it has {size}"


def _gif(file: BinaryIO, size: int) -> str:
    """GIF89a, section 27: a trailer, 3B; some writers put zeros behind it."""
    end = _bytes_at(file, max(0, size - 64), 64).rstrip(b"\0")
    return "" if end.endswith(b"\x3b") else "its trailer is missing"


_JUDGES: dict[str, Callable[[BinaryIO, int], str]] = {
    "mov": _mp4,
    "avi": _avi,
    "matroska": _matroska,
    "mpegts": _mpegts,
    "ogg": _ogg,
    "asf": _asf,
    "gif": _gif,
}
