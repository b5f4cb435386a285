"""Download of a data set's archives, each of which is unpacked at once and removed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.atomic import sweep
from pipeline.files.download import download
from pipeline.files.lock import exclusive
from pipeline.files.unpack import unpack

FOLDER = ".fetched"
"""Folder in the data root that holds an archive until its files are all there."""
LOCK = ".fetched.lock"
"""File in the data root that those who fetch into it lock; it stays where a fetch fails, as others may wait."""


@contextmanager
def fetching(root: Path) -> Iterator[None]:
    """Let those who fetch into the same folder, from wherever, take turns, and leave only the data set's files there.

    The block has to look itself at what is missing, as another may have fetched it meanwhile.

    Parameters
    ----------
    root : Path
        Folder of the data set's files; it is made where it is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    with exclusive(root, root / LOCK):
        sweep(root)
        yield
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        (root / LOCK).unlink(missing_ok=True)  # whoever waits for it, or makes another, finds nothing missing


def is_interrupted(root: Path) -> bool:
    """Return whether a fetch into a folder is at work, or was and did not come to its end."""
    return (root / LOCK).exists() or (root / FOLDER).exists()


def fetch_archive(url: str, root: Path, wanted: Callable[[str], bool]) -> None:
    """Download a zip archive and unpack the files that are wanted into the data root.

    A run that was killed leaves the archive, or a part of it, and the next one goes on from there.

    Parameters
    ----------
    url : str
        Its address, which ends in its name.
    root : Path
        Folder of the data set's files.
    wanted : callable
        Returns whether a file is wanted, by its path in the archive.

    Raises
    ------
    InputError
        Where the address does not answer, or the archive is damaged, which is then removed.
    """
    archive = root / FOLDER / url.rpartition("/")[2]
    if not archive.exists():
        download(url, archive)
    try:
        unpack(archive, root, wanted)
    except InputError as error:
        archive.unlink()
        raise InputError(f"{url}: {error}; what was downloaded is removed, and another run fetches it anew") from None
    archive.unlink()
