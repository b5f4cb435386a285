"""Download of a data set's archives, each of which is unpacked at once and removed."""

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.download import download
from pipeline.files.unpack import unpack

FOLDER = ".fetched"
"""Folder in the data root that holds an archive until its files are all there."""


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
    if not any(archive.parent.iterdir()):
        archive.parent.rmdir()
