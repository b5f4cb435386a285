"""Errors that are no fault of this program: wrong input, unusable videos, damaged files, lack of space."""

import errno
import os
import re

NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""Values of an OSError's ``errno`` where a disk, a quota or a limit on file sizes leaves no room."""
_NO_SPACE_MESSAGE = re.compile("|".join([*map(os.strerror, NO_SPACE), rf"errno = ({'|'.join(map(str, NO_SPACE))})\b"]))


class InputError(ValueError):
    """Mistake in the user's input; the message is one sentence that says what would be right."""


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
        self.reason = reason
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
    while error is not None:
        if getattr(error, "errno", None) in NO_SPACE or _NO_SPACE_MESSAGE.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
