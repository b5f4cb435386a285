"""Compute the fingerprints of stages and the keys of rows."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def fingerprint(family: str, significant: Any, upstream: Iterable[str] = ()) -> str:
    """Compute the fingerprint of a stage from all that may change its numbers.

    Parameters
    ----------
    family
        Kind of the stage, such as "extract".
    significant
        What ``Config.significant`` returns, or any other JSON value; versions are part of it.
    upstream
        Fingerprints, row keys or digests that the stage is computed from, in order.

    Returns
    -------
    str
        12 hexadecimal digits.

    Examples
    --------
    >>> fingerprint("extract", {"name": "c3d", "version": 1}, upstream=["0123456789ab"])
    '76490eaba71f'
    """
    return short_digest([family, significant, list(upstream)])


def short_digest(value: Any) -> str:
    """Return 12 hexadecimal digits of blake2b over the canonical JSON of ``value``; the order of keys does not matter.

    Examples
    --------
    >>> short_digest({"a": 1, "b": 2}) == short_digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def row_key(
    stage: str,
    upstream: Iterable[str],
    digest: str,
    part: tuple[int, int] | tuple[float, float] | None,
    variant: int,
) -> str:
    """Compute the key of one row from all that the row depends on, and nothing else.

    Parameters
    ----------
    stage
        Fingerprint of the stage.
    upstream
        Keys of the rows, and digests of other files, that it is computed from, in order.
    digest
        Digest of the input file's content; of a folder of pictures with their frame rate.
    part
        Half-open range of the file's frames, or of seconds, which are floats; None for all of it.
    variant
        0 for the video as it is, others for augmented copies.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> key = row_key("0123456789ab", [], "9f86d081", part=(0, 100), variant=0)
    >>> len(key), key == row_key("0123456789ab", [], "9f86d081", part=(0.0, 100.0), variant=0)
    (32, False)
    """
    text = json.dumps([stage, list(upstream), digest, part, variant], separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
