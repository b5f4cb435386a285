"""Compare the place where a sealed file lies with the one that its provenance states."""

import errno
import json
import os
import re
from pathlib import Path

STAGE = re.compile(r"(?P<name>.+)-(?P<fingerprint>[0-9a-f]{12})")
"""Name of a stage's folder."""
_NAMED_BY_DIGEST = re.compile(r".+-[0-9a-f]{12}\.h5")


def refuse_folder(path: Path) -> None:
    """Raise IsADirectoryError where a folder lies in a file's place, of which libraries say the strangest things."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


class Contradiction(ValueError):
    """What a sealed file says cannot be true where it lies: another file has come into its place."""


def check_place(path: Path, provenance: str | bytes | None) -> None:
    """Raise Contradiction where a sealed file belongs elsewhere, by what it says of itself.

    A folder that is not named like a stage's, and a file name without a digest, say nothing: they may be a user's own,
    for a copy. What the file does not state is not compared, either.

    Parameters
    ----------
    path
        The file.
    provenance
        Its provenance, a JSON object; None where it has none.

    Examples
    --------
    >>> check_place(Path("c3d-0123456789ab/index.h5"), '{"fingerprint": "0123456789ab"}')
    >>> check_place(Path("c3d-0123456789ab/index.h5"), '{"fingerprint": "ba9876543210"}')
    Traceback (most recent call last):
    pipeline.files.place.Contradiction: it belongs to …-ba9876543210/index.h5, but lies here
    """
    folder, name = STAGE.fullmatch(Path(os.path.abspath(path)).parent.name), _name(path)
    if provenance is None or not (folder or name):
        return
    stated = _parsed(provenance)
    fingerprint, file = stated.get("fingerprint"), stated.get("file")
    elsewhere = folder is not None and fingerprint not in (None, folder["fingerprint"])
    if elsewhere or (name is not None and file not in (None, name)):
        raise Contradiction(f"it belongs to …-{fingerprint}/{file or path.name}, but lies here")


def _name(path: Path) -> str | None:
    """Return the name that the file was sealed under, where that can be told from its path or the link that it is."""
    names = [path.name, Path(os.readlink(path)).name if path.is_symlink() else ""]
    return next(filter(_NAMED_BY_DIGEST.fullmatch, names), None)


def _parsed(provenance: str | bytes) -> dict[str, object]:
    try:
        stated = json.loads(provenance)
    except (ValueError, TypeError, RecursionError) as error:
        raise Contradiction(f"its provenance is no JSON ({error})") from None
    if not isinstance(stated, dict):
        raise Contradiction("its provenance is no JSON object")
    return stated
