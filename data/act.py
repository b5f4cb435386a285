"""ACT: 11,234 videos of 43 actions."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from data.base import Dataset, Fold, Listing, Video, by_id
from data.files import is_there
from data.manifest import Examples, read_manifest, side
from data.official import required, unlike_published
from data.protocols import divided
from data.publication import NONE_KNOWN, Publication
from pipeline.errors import InputError

MANIFEST = "act.csv"


class ACT(Dataset):
    """ACT data set: 11,234 videos of 43 classes, for the task of action classification.

    The root holds ``act.csv``, as the publisher does not document the form of the labels: a first line
    ``path,label,split``, then one line for each video (``data.manifest``) with its path from the root, the name of its
    class, and train, test or val.

    References
    ----------
    Wang, Farhadi and Gupta, "Actions ~ Transformations", CVPR 2016, section 5.
    """

    name: Literal["act"] = "act"
    publication: ClassVar[Publication] = Publication(
        title="ACT",
        homepage="https://xiaolonw.github.io/actioncvpr.html",
        access="Download videos and labels from the publisher's page, unpack them into one folder, and write act.csv "
        "there.",
        licence=NONE_KNOWN,
        size="14 GB",
        videos=11_234,
        classes=43,
    )
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"train_on_validation"})
    added: ClassVar[frozenset[str]] = frozenset({"train_on_validation"})

    present_only: bool = Field(False, description="use the videos that are there, instead of requiring all of them")
    train_on_validation: bool = Field(False, description="train as well on the videos whose split is val")

    def listing(self, root: Path) -> Listing:
        """List all videos, or those that are there and their classes.

        Raises
        ------
        InputError
            Where the manifest is malformed, or files are missing; it names the line, or counts the files.
        """
        root = root.resolve()
        listed, remarks = _examples(root)
        examples = {example.id: example for example in listed}
        files = {id: example.path for id, example in examples.items() if is_there(example.path)}
        ids, links = required(examples, files, root, self.present_only)
        there = [examples[id] for id in ids]
        classes = tuple(sorted({example.label for example in there}))
        videos = (
            Video(each.id, {each.modality: each.path}, (classes.index(each.label),), each.subject, each.frames)
            for each in there
        )
        return Listing(classes, by_id(videos), (*remarks, *links))

    def split_files(self, root: Path) -> list[Path]:
        return [root.resolve() / MANIFEST]

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return the one split. Raises InputError where a half is empty, or a line has no side."""
        sides = {}
        for example in _examples(root.resolve()).examples:
            half = side(example, self.train_on_validation)
            if half is None:
                raise InputError(
                    f"{example.place}: no split; the column split is needed, with train, test or val in each line"
                )
            sides[example.id] = half
        return (divided("split", listing.videos, lambda video: sides[video.id]),)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Note the number of videos, where it is not the published one."""
        return unlike_published("classes", listing, self.publication)


def _examples(root: Path) -> Examples:
    read = read_manifest(root / MANIFEST, root)
    seen: set[str] = set()
    for example in read.examples:
        if not example.path.is_relative_to(root):
            raise InputError(f"{example.place}: {example.path} leaves the data root; paths must stay below it")
        if example.modality != "video":
            raise InputError(f"{example.place}: {example.path.name} is not a video; each line must name one")
        if example.id in seen:
            raise InputError(f"{example.place}: {example.id} is listed a second time; each video has one line")
        seen.add(example.id)
    return read
