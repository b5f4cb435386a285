"""What goes wrong through no fault of this program."""

import errno
import os
import re

NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""The ``errno`` of an OSError where a disk, a quota or a limit on file sizes leaves no room."""
_SAID = re.compile("|".join([*map(os.strerror, NO_SPACE), rf"errno = ({'|'.join(map(str, NO_SPACE))})\b"]))


class InputError(ValueError):
    """A mistake in what the user gave; the message is one sentence that says what would be right."""


class UnusableVideo(InputError):
    """A video (or skeleton file) that cannot be used: sealed as a failure, and the others go on.

    ``frames_decoded`` is the number of frames that did decode before the reason struck.
    """

    def __init__(self, reason: str, frames_decoded: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.frames_decoded = frames_decoded

    def __reduce__(self) -> tuple[type["UnusableVideo"], tuple[str, int]]:
        return type(self), (self.reason, self.frames_decoded)


class DamagedStore(InputError):
    """A sealed file was truncated or altered; it has been set aside, and whoever makes such files makes it again."""


def lacks_space(error: BaseException | None) -> bool:
    """Whether a full disk, quota or limit on file sizes is behind an error, or behind one that it came from.

    Libraries that write by themselves say so in their messages alone.
    """
    while error is not None:
        if getattr(error, "errno", None) in NO_SPACE or _SAID.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
