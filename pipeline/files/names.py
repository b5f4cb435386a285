"""Names of files as text: bytes that are not UTF-8, and letters with accents that are composed or decomposed.

Python reads a byte of a name that is not UTF-8 as half of a character, which opens the file again but is no text: no
log, page, JSON or HDF5 file takes it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator

T = TypeVar("T")

_BYTE = re.compile("[\udc80-\udcff]")
"""Half of a character that stands for a byte."""


def _file_name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of a file is needed")
    return value


FileName = Annotated[str, PlainValidator(_file_name)]
"""Type of a field that holds a file's name: a string of pydantic's own has no bytes that are not UTF-8."""


def printable(name: str) -> str:
    r"""Return a name, or a message that holds one, as text: a byte that is not UTF-8 becomes ``\xff``.

    Examples
    --------
    >>> printable("caf\udce9.mp4")
    'caf\\xe9.mp4'
    """
    return _BYTE.sub(lambda half: rf"\x{ord(half[0]) - 0xDC00:x}", name).encode(errors="backslashreplace").decode()


def composed(name: str) -> str:
    r"""Return a name with its accents composed (NFC), so that what looks alike is the same.

    Examples
    --------
    >>> composed("cafe\u0301") == "caf\xe9"
    True
    """
    return unicodedata.normalize("NFC", name)


def by_spelling(known: Mapping[str, T]) -> dict[str, T]:
    r"""Add to a mapping by name the other spellings of each name, of which the exact one wins.

    A name is found with its accents composed (NFC) and decomposed (NFD), and one that is not UTF-8 as ``printable``
    shows it, and read as Latin-1 and as cp1252, which is Windows' own.

    Examples
    --------
    >>> by_spelling({"caf\udce9": 1})["caf\xe9"], by_spelling({"don\udc92t": 2})["don\u2019t"]
    (1, 2)
    """
    names = sorted(known, reverse=True)  # of several that are alike text wins over bytes, in whatever order they come
    return {spelling: known[name] for name in names for spelling in _spellings(name)} | dict(known)


def _spellings(name: str) -> list[str]:
    texts = {printable(name)}
    if _BYTE.search(name):
        content = name.encode(errors="surrogateescape")
        texts |= {content.decode(encoding, errors="backslashreplace") for encoding in ("latin-1", "cp1252")}
    return [unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD")]
