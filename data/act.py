"""ACT: 11,234 videos of 43 actions."""

from pathlib import Path
from typing import Literal

from data.base import Dataset, Fold, Listing, Video, by_id
from data.manifest import Example, listed
from data.official import required, unlike_published
from data.protocols import divided
from pipeline.errors import InputError

MANIFEST = "act.csv"
VIDEOS, CLASSES = 11_234, 43
"""As published."""


class ACT(Dataset):
    """Wang, Farhadi and Gupta, "Actions ~ Transformations", CVPR 2016, section 5: the task of action classification.

    The videos, and the labels, are to be had from https://xiaolonw.github.io/actioncvpr.html. In which form the labels
    come is not documented there: here the root holds ``act.csv`` with a first line ``path,label,split`` and a line a
    video (``data.manifest``), its path from the root, the name of its class, and train or test.
    """

    name: Literal["act"] = "act"

    present_only: bool = False

    def listing(self, root: Path) -> Listing:
        """All videos, or those that are there and their classes. Raises InputError that says what is wrong where."""
        root = root.resolve()
        examples = {example.id: example for example in _examples(root)}
        files = {id for id, example in examples.items() if example.path.is_file()}
        there = [examples[id] for id in required(examples, files, root, self.present_only)]
        classes = tuple(sorted({example.label for example in there}))
        videos = (
            Video(each.id, {each.modality: each.path}, (classes.index(each.label),), each.subject, each.frames)
            for each in there
        )
        return Listing(classes, by_id(videos))

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """The one split. Raises InputError where a half is empty, or a line says nothing of it."""
        sides = {}
        for example in _examples(root.resolve()):
            if not example.split:
                raise InputError(f"{example.place}: a column split is needed, with train or test in each line")
            sides[example.id] = example.split
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """How many videos there are, where it is not the published number."""
        return unlike_published("classes", listing, VIDEOS, CLASSES)


def _examples(root: Path) -> list[Example]:
    examples = listed(root / MANIFEST, root)
    seen: set[str] = set()
    for example in examples:
        if not example.path.is_relative_to(root):
            raise InputError(f"{example.place}: {example.path} leaves the data root; paths must stay below it")
        if example.modality != "video":
            raise InputError(f"{example.place}: {example.path.name} is no video")
        if example.id in seen:
            raise InputError(f"{example.place}: {example.id} is listed a second time; each video has one line")
        seen.add(example.id)
    return examples
