"""Judge whether a video file is whole, by what its container says of its own size and length.

============== ========================================== =====================================================
container      how a missing end is noticed               what cannot be noticed
============== ========================================== =====================================================
MP4, MOV       index at the end missing, or pointing      —
               beyond the end; a box larger than the file
MP4 fragments  a box larger than the file, or its index   a cut between two fragments; where a ``sidx`` states the
               pointing beyond the end                    length, of less than a tenth
Matroska, WebM a segment or cluster larger than the file  of segments of unknown size: a cut between two clusters;
                                                          of clusters of unknown size, too: one between two blocks
AVI            a RIFF chunk larger than the file          a recording that was never finished
MPEG-PS        a picture of the last packet is damaged    a cut between two pictures
MPEG-TS        a packet is cut, or the last packet's      a cut between two pictures
               picture damaged
Ogg            a last page that is cut, or ends no stream —
ASF, WMV       a header that states a larger file         of a broadcast: a cut between two pictures
FLV            the last picture is incomplete             a cut between two pictures: less than a tenth missing
GIF            no trailer                                 —
============== ========================================== =====================================================

Whatever the container, a last picture that is incomplete or damaged is noticed, and where its sizes do not settle it,
so is the loss of more than a tenth of the length that its header states.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

_TENTH = 0.1  # headers lie by a few frames in either direction
_STATES_LENGTH = {"mov", "matroska", "asf", "flv", "mxf"}
"""Containers whose length libav takes from the header. It guesses that of others, and AVI may end with repeats."""


def missing_end(file: BinaryIO, container: str, last_byte: int) -> str | None:
    """Return how a file is seen to end too early, by its structure alone.

    Parameters
    ----------
    file
        The file; where it is read from changes.
    container
        libav's name of the container, of several the first.
    last_byte
        End of the last sample that the container's index names; 0 where it has none.

    Returns
    -------
    str or None
        An empty text where it is seen to be whole, None where its structure does not tell.
    """
    size = file.seek(0, os.SEEK_END)
    judge = _JUDGES.get(container)
    found = judge(file, size) if judge else None
    return found or _beyond(last_byte, size, "its last frame") or found


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


def _mp4(file: BinaryIO, size: int) -> str | None:
    """ISO/IEC 14496-12, section 4.2: boxes, each with its size; what they hold of frames must be there."""
    fragments, end = False, size
    for kind, end in _boxes(file, size):
        fragments = fragments or kind == b"moof"
        if kind in (b"moov", b"moof", b"mdat") and (beyond := _beyond(end, size, f"its box {kind.decode()}")):
            return beyond
    return "the header of its last box is cut" if fragments and end < size < end + 8 else None


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


_UNFINISHED = (0, 2**32 - 1)
"""Sizes that stand in a RIFF chunk until its recording ends; a program that writes to a pipe never comes back."""


def _avi(file: BinaryIO, size: int) -> str | None:
    """RIFF and its continuations for large files (OpenDML), each with its size; some writers add the header's."""
    offset = 0
    while (header := _bytes_at(file, offset, 8))[:4] == b"RIFF":
        length = int.from_bytes(header[4:], "little")
        if length in _UNFINISHED:
            return None
        if beyond := _beyond(offset + length, size, "its RIFF chunk"):
            return beyond
        offset += 8 + length + length % 2
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """RFC 8794, sections 4 to 6: an EBML header, then a segment; if its size is unknown, its parts have sizes."""
    header = _element(file, 0)
    segment = _element(file, header.end) if header and header.end else None
    if segment is None:
        return None
    if segment.end is not None:
        return _beyond(segment.end, size, "its segment")
    offset = segment.content
    while offset < size and (part := _element(file, offset)) is not None and part.end is not None:
        if beyond := _beyond(part.end, size, "its last cluster"):
            return beyond
        offset = part.end
    return None


class _Element(NamedTuple):
    """Where the content of an EBML element begins, and where it ends; None where that is unknown."""

    content: int
    end: int | None


def _element(file: BinaryIO, offset: int) -> _Element | None:
    """Return the element at an offset; None where there is none, or its header is cut."""
    coded = _bytes_at(file, offset, 12)
    named = 9 - coded[0].bit_length() if coded else 9
    sized = 9 - coded[named].bit_length() if named <= 4 and named < len(coded) else 9
    if named + sized > len(coded):
        return None
    value = int.from_bytes(coded[named : named + sized]) & ((1 << 7 * sized) - 1)
    content = offset + named + sized
    return _Element(content, None if value == (1 << 7 * sized) - 1 else content + value)


_PACKETS = 10
"""Number of packets at the end of a transport stream by which it is seen where they begin."""


def _mpegts(file: BinaryIO, size: int) -> str | None:
    """ISO/IEC 13818-1, section 2.4.3: packets of 188 bytes, 192 with a time in front, 204 with parity behind.

    Packets need not begin where the file does, nor keep step all through: those at its end are looked at.
    """
    for length, before in ((188, 0), (192, 4), (204, 0)):
        start = max(0, size - (_PACKETS + 1) * length)
        end = _bytes_at(file, start, size - start)
        for phase in range(min(length, len(end))):
            marks = end[phase::length]
            if len(marks) >= _PACKETS and set(marks) == {ord("G")}:
                rest = (size - start - phase + before) % length
                return f"its last packet has {rest} of {length} bytes" if rest else None
    return None


_OGG_PAGE_BYTES = 27 + 255 + 255 * 255


def _ogg(file: BinaryIO, size: int) -> str | None:
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


def _asf(file: BinaryIO, size: int) -> str | None:
    """Advanced Systems Format, section 3.2: the header's file properties state the file's size, but for a broadcast."""
    header = _bytes_at(file, 0, 2**16)
    place = header.find(_ASF_FILE_PROPERTIES)
    if place < 0 or len(header) < place + 92:
        return None
    stated = int.from_bytes(header[place + 40 : place + 48], "little")
    broadcast = header[place + 88] & 1
    if broadcast:
        return None
    return "" if stated <= size else f"its header announces {stated} bytes, but it has {size}"


def _gif(file: BinaryIO, size: int) -> str | None:
    """GIF89a, section 27: a trailer, 3B; some writers put zeros or ends of lines behind it."""
    end = _bytes_at(file, max(0, size - 4096), 4096).rstrip(b"\0\r\n")
    return "" if end.endswith(b"\x3b") else "its trailer is missing"


_JUDGES: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "mov": _mp4,
    "avi": _avi,
    "matroska": _matroska,
    "mpegts": _mpegts,
    "ogg": _ogg,
    "asf": _asf,
    "gif": _gif,
}
