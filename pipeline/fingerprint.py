"""Configuration and upstream fingerprints -> 12 hexadecimal digits."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def fingerprint(family: str, significant: Any, upstream: Iterable[str] = ()) -> str:
    """Name a stage by all that may change its numbers.

    family: what kind of stage it is, such as "extract".
    significant: what ``Config.significant`` returns, or any other JSON value; versions are part of it.
    upstream: fingerprints, row keys or digests that the stage is computed from, in order.
    """
    return short_digest([family, significant, list(upstream)])


def short_digest(value: Any) -> str:
    """12 hexadecimal digits of blake2b over the canonical JSON of ``value``."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def row_key(stage: str, upstream: Iterable[str], digest: str, frames: tuple[int, int] | None, variant: int) -> str:
    """The key of one row, 32 hexadecimal digits: all that the row depends on, and nothing else.

    stage: the stage's fingerprint; upstream: keys of the rows it is computed from; digest: content of the input
    file; frames: half-open range of the file's frames, None for all of them; variant: 0 for the video as it is.
    """
    text = json.dumps([stage, list(upstream), digest, frames, variant], separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
