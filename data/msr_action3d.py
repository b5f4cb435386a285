"""MSR Action3D: 567 skeleton sequences of 20 actions by 10 subjects."""

import re
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.base import Dataset, Fold, Listing, Video, by_id
from data.official import files_in, read_lines, required
from data.protocols import divided, leave_one_out
from data.publication import NONE_KNOWN, Publication
from pipeline.config import Few
from pipeline.errors import InputError

ACTIONS = (
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side-boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pick up & throw",
)  # fmt: skip
SUBJECTS = range(1, 11)
_NOT_RECORDED = {
    **{(action, 4): (1, 2, 3) for action in (*range(1, 7), 15)},
    **{pair: (3,) for pair in ((4, 3), (5, 6), (6, 6), (7, 4), (7, 7), (15, 2))},
    (15, 3): (1, 2, 3),
    (15, 5): (1, 2, 3),
}
"""Executions that are missing from the published data set, by action and subject."""
RECORDED = tuple(
    f"a{action:02d}_s{subject:02d}_e{execution:02d}"
    for action in range(1, len(ACTIONS) + 1)
    for subject in SUBJECTS
    for execution in (1, 2, 3)
    if execution not in _NOT_RECORDED.get((action, subject), ())
)
EXCLUDED = frozenset(
    (
        *("a02_s03_e02", "a04_s03_e01", "a07_s04_e01", "a13_s09_e01", "a13_s09_e02", "a13_s09_e03", "a14_s03_e01"),
        *("a20_s07_e01", "a20_s07_e03", "a20_s10_e03"),
    )
)
"""Sequences with missing or erroneous skeletons, which Wang et al. leave out."""
CVPR12_LIST = "files_used_in_cvpr12_paper.txt"

_FILE = re.compile(r"(?P<id>a\d\d_s\d\d_e\d\d)_(?P<kind>skeleton|skeleton3D)\.txt")


class MsrAction3D(Dataset):
    """MSR Action3D data set: 567 skeleton sequences of 20 actions by 10 subjects.

    The root holds ``aXX_sYY_eZZ_skeleton3D.txt`` (or ``…_skeleton.txt``, in the screen's coordinates). The 557
    sequences "cvpr12" are those of the list of Wang et al. where that lies in the root, and all but ten otherwise.

    Half of the subjects train and the others are tested, all 20 classes together.

    References
    ----------
    Li, Zhang and Liu, "Action Recognition Based on a Bag of 3D Points", CVPR4HB 2010.

    Wang, Liu, Wu and Yuan, "Mining Actionlet Ensemble for Action Recognition with Depth Cameras", CVPR 2012.
    """

    name: Literal["msr_action3d"] = "msr_action3d"
    publication: ClassVar[Publication] = Publication(
        title="MSR Action3D",
        homepage="https://sites.google.com/view/wanqingli/data-sets/msr-action3d",
        access="Download MSRAction3DSkeletonReal3D.rar from the publisher's page, and unpack its files into one folder "
        "(by unrar or 7-Zip).",
        licence=NONE_KNOWN,
        size="18 MB unpacked",
        videos=len(RECORDED),
        classes=len(ACTIONS),
    )
    protocol_fields: ClassVar[frozenset[str]] = frozenset({"protocol", "train_subjects"})

    sequences: Literal["cvpr12", "all"] = Field("cvpr12", description="the 557 sequences of Wang et al., or all 567")
    present_only: bool = Field(False, description="use the sequences that are there, instead of requiring all of them")
    protocol: Literal["cross_subject", "leave_one_out"] = Field(
        "cross_subject",
        description='"cross_subject": train on train_subjects and test the others; "leave_one_out": test each of '
        "train_subjects in turn, to choose a recipe without looking at the test subjects",
    )
    train_subjects: tuple[Few, ...] = Field((1, 3, 5, 7, 9), description="numbers of the training subjects, 1 to 10")

    @model_validator(mode="after")
    def _some_to_train_and_some_to_test(self) -> Self:
        chosen = set(self.train_subjects)
        if len(chosen) < len(self.train_subjects) or not chosen <= set(SUBJECTS):
            raise ValueError("train_subjects must be different numbers from 1 to 10")
        if self.protocol == "cross_subject" and not 0 < len(chosen) < len(SUBJECTS):
            raise ValueError("train_subjects must be some of the ten subjects, to leave others for the test")
        if self.protocol == "leave_one_out" and len(chosen) < 2:
            raise ValueError("leave_one_out needs two train_subjects or more")
        return self

    @property
    def store_name(self) -> str:
        return f"{self.name}-{self.sequences}"

    def listing(self, root: Path) -> Listing:
        """List the sequences, of all 20 classes. Raises InputError that counts missing files."""
        root = root.resolve()
        files = _skeletons(root)
        ids, links = required(self._wanted(root), files, root, self.present_only)
        return Listing(
            ACTIONS,
            by_id(Video(id, {"skeleton": files[id]}, (int(id[1:3]) - 1,), id.split("_")[1]) for id in ids),
            links,
        )

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return one fold across subjects, or one for each training subject.

        Raises
        ------
        InputError
            Where a half is empty.
        """
        trained = [f"s{subject:02d}" for subject in sorted(self.train_subjects)]
        if self.protocol == "cross_subject":
            name = "cross-subject"
            return (divided(name, listing.videos, lambda video: "train" if video.subject in trained else "test"),)
        videos = [video for video in listing.videos if video.subject in trained]
        return leave_one_out(videos, trained)

    def _wanted(self, root: Path) -> tuple[str, ...]:
        if self.sequences == "all":
            return RECORDED
        if not (root / CVPR12_LIST).exists():
            return tuple(id for id in RECORDED if id not in EXCLUDED)
        wanted: dict[str, None] = {}
        for place, id in read_lines(root / CVPR12_LIST):
            if id not in RECORDED or id in wanted:
                fault = (
                    "is listed a second time" if id in wanted else "is none of the 567 sequences, such as a01_s01_e01"
                )
                raise InputError(f"{place}: {id!r} {fault}")
            wanted[id] = None
        return tuple(wanted)


def _skeletons(root: Path) -> dict[str, Path]:
    """Return the files by id. Raises InputError where metres and screen coordinates are mixed."""
    matches = [(match, path) for name, path in files_in(root) if (match := _FILE.fullmatch(name))]
    if len({match["kind"] for match, _ in matches}) > 1:
        raise InputError(f"{root} holds both _skeleton.txt and _skeleton3D.txt files; keep one kind in a folder")
    return {match["id"]: path for match, path in matches}
