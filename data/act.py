"""ACT: 11,234 videos of 43 actions."""

from pathlib import Path
from typing import Literal

from data.base import Dataset, Fold, Listing, Video, by_id, contained
from data.manifest import Example, read
from data.protocols import divided
from pipeline.errors import InputError

MANIFEST = "act.csv"
PUBLISHED = {"videos": 11_234, "classes": 43, "train": 7_260}


class ACT(Dataset):
    """Wang, Farhadi and Gupta, "Actions ~ Transformations", CVPR 2016, section 5: the task of action classification.

    The videos, and the labels, are to be had from https://xiaolonw.github.io/actioncvpr.html. In which form the labels
    come is not documented there: here the root holds ``act.csv`` with a first line ``path,label,split`` and a line a
    video (``data.manifest``), its path from the root, the name of its class, and train or test.
    """

    name: Literal["act"] = "act"

    present_only: bool = False

    def listing(self, root: Path) -> Listing:
        """All videos of the manifest, or those that are there and their classes. Raises InputError of the manifest."""
        examples = self._examples(root)
        classes = tuple(sorted({example.label for example in examples}))
        videos = (
            Video(each.id, {each.modality: each.path}, (classes.index(each.label),), each.subject) for each in examples
        )
        return Listing(classes, by_id(videos))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """The one split. Raises InputError where a half is empty, or a line says nothing of it."""
        sides = {}
        for example in self._examples(root):
            if not example.split:
                raise InputError(f"{example.place}: a column split is needed, with train or test in each line")
            sides[example.id] = example.split
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """How many videos there are, where it is not the published number."""
        if len(listing.videos) == PUBLISHED["videos"] and len(listing.classes) == PUBLISHED["classes"]:
            return ()
        return (
            f"{len(listing.videos):,} videos of {len(listing.classes)} classes, where {PUBLISHED['videos']:,} of "
            f"{PUBLISHED['classes']} are published.",
        )

    def _examples(self, root: Path) -> list[Example]:
        root = root.resolve()
        examples = read(root / MANIFEST, root, present_only=self.present_only)
        for example in examples:
            contained(root, str(example.path.relative_to(root)) if example.path.is_relative_to(root) else "..")
            if example.modality != "video":
                raise InputError(f"{example.place}: {example.path.name} is no video")
        if not examples:
            raise InputError(f"{root / MANIFEST} names no video that is there")
        return examples
