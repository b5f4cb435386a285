"""Downloads files: whole or not at all, on from where a download ended, and checked."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import NO_SPACE, InputError
from pipeline.files.atomic import sync
from pipeline.files.lock import exclusive
from pipeline.files.progress import Bar

RANGE_NOT_SATISFIABLE = 416
"""Status of a server that is asked for bytes after a file's last."""


def download(url: str, path: Path, *, sha256: str = "", resume: bool = True) -> str:
    """Download a file, unless it is there; of several processes at once one does.

    Parameters
    ----------
    url : str
        Its address; proxies are those of the environment (``HTTPS_PROXY`` and others).
    path : Path
        Where it is to be; the folder is made where it is missing.
    sha256 : str
        The first digits, or all, of its SHA-256 as its publisher states them.
    resume : bool
        Whether to go on from where another process ended. Where nothing is known of the content, nobody could tell
        whether the file has changed meanwhile.

    Returns
    -------
    str
        SHA-256 in 64 hexadecimal digits of the file that was downloaded; empty where it was there.

    Raises
    ------
    InputError
        Where it cannot be had, or is not the publisher's.
    """
    part = path.with_name(f".{path.name}.part")
    with exclusive(path, part):  # which others wait for: it is emptied where it is of no use, and never removed
        if path.is_file():
            part.unlink(missing_ok=True)
            return ""
        if not resume:
            os.truncate(part, 0)
        _receive(url, part)
        found = _sha256(part)
        if not found.startswith(sha256):
            os.truncate(part, 0)
            raise InputError(
                f"{url}: what was downloaded has the SHA-256 {found}, and {sha256} is the publisher's; "
                "try again, or get the file from elsewhere"
            )
        sync(part)
        os.replace(part, path)
        sync(path.parent)
        return found


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what the downloader raises where there is no connection, or none that lasts."""
    from huggingface_hub.errors import HfHubHTTPError

    return (HfHubHTTPError.__bases__[0], OSError)  # the error of its HTTP client, which differs between versions


def _receive(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks of the file at an address; what has come stays when the connection ends."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    with open(part, "ab") as file, _without_warnings():
        try:
            http_get(url, file, resume_size=file.tell(), displayed_filename=part.name[1:-5], tqdm_class=Bar)
        except HfHubHTTPError as error:
            if error.response.status_code != RANGE_NOT_SATISFIABLE:  # else all of it had come, and was not looked at
                raise InputError(
                    f"{url}: the server answers {error.response.status_code}; get the file from elsewhere"
                ) from None
        except connection_errors() as error:
            if getattr(error, "errno", None) in NO_SPACE:
                raise
            reason = str(error) or type(error).__name__
            raise InputError(
                f"{url}: no connection that lasts ({reason}); {file.tell():,} bytes came: try again"
            ) from None


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep the downloader from warning of each new attempt after a cut connection."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digits_in(url: str) -> str:
    """Return the first digits of a file's SHA-256 that its name carries, as PyTorch's do; empty where it has none.

    Examples
    --------
    >>> digits_in("https://download.pytorch.org/models/resnet50-0676ba61.pth")
    '0676ba61'
    """
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", url)
    return found[1] if found else ""
