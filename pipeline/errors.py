"""Errors that are no fault of this program: wrong input, unusable videos, damaged files, lack of space."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.files.names import printable

NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Values of an OSError's ``errno`` where a disk, a quota or a limit on file sizes leaves no room."""
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)
"""Values of an OSError's ``errno`` where no file can have the path."""
UNREADABLE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EISDIR, *NO_PATH))
"""Values of an OSError's ``errno`` where a single file cannot be read, and nothing is wrong with the disk."""
_NO_SPACE_MESSAGE = re.compile("|".join([*map(os.strerror, NO_SPACE), rf"errno = ({'|'.join(map(str, NO_SPACE))})\b"]))

_NO_MEMORY_MESSAGE = re.compile(
    f"{os.strerror(errno.ENOMEM)}|can't allocate memory|out of memory|[Ii]nsufficient memory|ALLOC_FAILED"
    "|failed to map segment from shared object"
)
_FILE_NAME = re.compile(r"filename = '([^']+)'")  # as HDF5 writes it


class InputError(ValueError):
    """Mistake in the user's input; the message is one sentence that says what would be right.

    Names of files in it are made printable, so that every log, page and store takes it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class UnusableVideo(InputError):
    """Video (or skeleton file) that cannot be used: it is sealed as a failure, and the others go on.

    Parameters
    ----------
    reason
        Why it cannot be used.
    frames_decoded
        Number of frames that did decode.
    """

    def __init__(self, reason: str, frames_decoded: int = 0) -> None:
        super().__init__(reason)
        self.reason = str(self)
        self.frames_decoded = frames_decoded

    def __reduce__(self) -> tuple[type["UnusableVideo"], tuple[str, int]]:
        return type(self), (self.reason, self.frames_decoded)


class DamagedStore(InputError):
    """Sealed file that was truncated or altered; it has been quarantined, and the next run makes it again."""


class Unavailable(InputError):
    """A file of a store cannot be read here and now, though nothing says that it is damaged; it stays as it is."""


class NewerFormat(Unavailable):
    """A file of a store has a format that only a newer kinescope reads."""


class HeldOpen(Unavailable):
    """A file of a store is open for writing in another program, or was when that program was killed."""


def lacks_space(error: BaseException | None) -> bool:
    """Return whether a full disk, quota or limit on file sizes caused an error, or one that it came from.

    Libraries that write by themselves say so only in their messages, which are searched, too.

    Examples
    --------
    >>> lacks_space(OSError(errno.ENOSPC, "No space left on device")), lacks_space(KeyError("features"))
    (True, False)
    """
    return any(
        getattr(each, "errno", None) in NO_SPACE or _NO_SPACE_MESSAGE.search(str(each)) for each in _causes(error)
    )


def lack_of_memory(error: BaseException | None) -> BaseException | None:
    """Return the lack of memory, the processor's or a GPU's, that an error is or came from; None where there is none.

    Few libraries raise MemoryError: torch and OpenCV have errors of their own, and so has the system's loader of
    libraries, so that messages are searched, too.

    Examples
    --------
    >>> lack_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    RuntimeError("DefaultCPUAllocator: can't allocate memory")
    >>> lack_of_memory(KeyError("memory"))
    """
    lacks = (each for each in _causes(error) if isinstance(each, MemoryError) or _NO_MEMORY_MESSAGE.search(str(each)))
    return next(lacks, None)


def path_of(error: BaseException | None) -> str | None:
    """Return the path that an error, or the first of those that it came from that has one, is about.

    Examples
    --------
    >>> path_of(OSError(errno.ENOSPC, "No space left on device", "features.h5")), path_of(MemoryError())
    ('features.h5', None)
    """
    for each in _causes(error):
        if isinstance(name := getattr(each, "filename", None), str):
            return name
        if named := _FILE_NAME.search(str(each)):
            return named[1]
    return None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an OSError for lack of space the path that is written in the block: a write itself knows no name."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE and error.filename is None:
            error.filename = str(path)
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, the one that it came from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
