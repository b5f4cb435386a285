"""What goes wrong through no fault of this program."""

import errno
import re

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|errno = (28|122)\b")


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
    """Whether a full disk, or a used up quota, is behind an error, or behind one that it came from.

    Libraries that write by themselves say so in their messages alone.
    """
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or _NO_SPACE.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
