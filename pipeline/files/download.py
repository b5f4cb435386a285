"""Downloads a file: it appears whole, or not at all."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.errors import InputError
from pipeline.files.atomic import atomic_path


def download(url: str, path: Path, *, sha256: str = "", offline: bool = False) -> None:
    """Download a file to a path. Raises InputError where the address does not answer."""
    try:
        with urllib.request.urlopen(url) as answer, atomic_path(path) as temporary, open(temporary, "wb") as file:
            shutil.copyfileobj(answer, file)
    except urllib.error.URLError as error:
        raise InputError(f"{url} cannot be downloaded: {error.reason}") from None
