"""Write and read JSON files whose damage is noticed, be they still well-formed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from pipeline.files.atomic import quarantine, write_text
from pipeline.files.place import refuse_folder

DIGEST = "blake2b"
"""Key of the digest: of the canonical JSON of all other keys."""
M = TypeVar("M", bound=BaseModel)


def write_record(path: Path, content: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Write a mapping of JSON values atomically, with a digest of them."""
    plain = json.loads(json.dumps(content))
    write_text(path, json.dumps({**plain, DIGEST: _digest(plain)}, indent=indent))


def read_record(path: Path, kind: type[M]) -> M:
    """Read what ``write_record`` wrote; one without a digest, as older ones are, is checked for its form alone.

    Parameters
    ----------
    path
        The file.
    kind
        The form of its content.

    Raises
    ------
    DamagedStore
        Where the content is not of this form, or not as it was written; the file is quarantined.
    FileNotFoundError
        Where there is no such file.
    """
    try:
        return load_record(path, kind)
    except ValueError as error:
        quarantine(path, error)


def load_record(path: Path, kind: type[M]) -> M:
    """Read a file as ``read_record`` does, but leave it where it is. Raises ValueError where it is damaged."""
    refuse_folder(path)
    return parse_record(path.read_bytes(), kind)


def parse_record(text: bytes, kind: type[M]) -> M:
    """Return what the text of a record holds. Raises ValueError where it is damaged."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, where an object is needed")
        if (stated := content.pop(DIGEST, None)) is not None and stated != _digest(content):
            raise ValueError("its content does not match its digest")
        return kind.model_validate(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(_in_short(error)) from None


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


def _in_short(error: Exception) -> str:
    """Return a reason in one line: pydantic says several for each wrong place, of which the first place will do."""
    return " ".join(line.strip() for line in str(error).splitlines()[:3])
