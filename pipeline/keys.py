"""What rows are known by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """What a video's rows are known by: its id, the digest of its file, one key a variant."""

    id: str
    source_digest: str
    variants: tuple[str, ...]

    @property
    def name(self) -> str:
        """The key by which the video as a whole is journaled."""
        return self.variants[0]
