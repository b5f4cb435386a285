"""What goes wrong through no fault of this program."""

import errno

NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""The ``errno`` of an OSError where a disk, a quota or a limit on file sizes leaves no room."""


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
