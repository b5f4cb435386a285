"""Divisions of videos into training and test halves: by a rule, or drawn from a seed."""

import hashlib
import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from data.base import Dataset, Fold, Listing, Video
from pipeline.errors import InputError

Side = Literal["train", "test", "unused"]

OFFICIAL_TRAIN = tuple(range(11, 19))
OFFICIAL_VALIDATION = (19, 20, 21, 23, 24, 25, 1, 4)
OFFICIAL_TEST = (22, 2, 3, 5, 6, 7, 8, 9, 10)
_TEST_FRACTION = 9 / 25
_BELONGS_TO = {
    "trials": "trials",
    "train_subjects": "trials",
    "protocol_seed": "trials",
    "train_on_validation": "official",
}
"""The protocol to which each field belongs."""


class BySubject(Dataset):
    """Data sets in the form of KTH: subjects "person01", "person02" …, whose videos stay together.

    "trials", the default: divisions drawn at random from ``protocol_seed``, in the ratio of 16 to 9 subjects, as in
    Baccouche et al., "Sequential Deep Learning for Human Action Recognition", HBU 2011, and the papers after it; trial
    n is the same whatever their number. "official": the one split of Schüldt, Laptev and Caputo, "Recognizing Human
    Actions: A Local SVM Approach", ICPR 2004: 8 subjects train, 9 are tested; the 8 that they chose parameters with
    are left out, or train, too. "leave_one_out": a fold for each subject, who is tested alone.

    Where only some subjects are there, these are divided: at random in the same ratio, or as the official split has
    them.
    """

    protocol_fields: ClassVar[frozenset[str]] = frozenset({"protocol", *_BELONGS_TO})

    protocol: Literal["trials", "official", "leave_one_out"] = "trials"
    trials: PositiveInt = 5
    train_subjects: PositiveInt | None = Field(None, description="of all subjects; None: 16 of 25 of them")
    protocol_seed: NonNegativeInt = 0
    train_on_validation: bool = Field(False, description="whether the official validation subjects train, too")

    @property
    @abstractmethod
    def all_subjects(self) -> int:
        """How many subjects the whole data set has."""

    @model_validator(mode="after")
    def _protocol_is_possible(self) -> Self:
        if self.train_subjects is not None and self.train_subjects >= self.all_subjects:
            raise ValueError(f"train_subjects must be below {self.all_subjects}, to leave subjects for the test")
        official = len(OFFICIAL_TRAIN + OFFICIAL_VALIDATION + OFFICIAL_TEST)
        if self.protocol == "official" and self.all_subjects != official:
            raise ValueError(f"the official split divides {official} subjects, and there are {self.all_subjects}")
        for name, protocol in _BELONGS_TO.items():
            if protocol != self.protocol and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} belongs to protocol = {protocol!r}; leave it out with {self.protocol!r}")
        return self

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """The protocol's folds. Raises InputError where a half is empty."""
        if self.protocol == "official":
            return (_official(listing, "train" if self.train_on_validation else "unused"),)
        if self.protocol == "leave_one_out":
            return leave_one_out(listing.videos, sorted({video.subject for video in listing.videos}))
        chosen = self.train_subjects
        test_fraction = _TEST_FRACTION if chosen is None else 1 - chosen / self.all_subjects
        return subject_trials(listing, test_fraction, self.trials, self.protocol_seed)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Between how many subjects the folds divide, where some are not there."""
        subject = {video.id: video.subject for video in listing.videos}
        there = len(set(subject.values()))
        if there == self.all_subjects:
            return ()
        fold = self.folds(Path(), listing)[0]
        train, test = (len({subject[id] for id in half}) for half in (fold.train, fold.test))
        return (
            f"Only {there} of the {self.all_subjects} subjects are there: of these, {train} train and {test} "
            f"{'is' if test == 1 else 'are'} tested in each fold of protocol {self.protocol!r}.",
        )


def divided(name: str, videos: Iterable[Video], side: Callable[[Video], Side]) -> Fold:
    """The fold in which each video is where ``side`` says, ids sorted. Raises InputError where a half is empty."""
    halves: dict[Side, list[str]] = {"train": [], "test": [], "unused": []}
    for video in videos:
        halves[side(video)].append(video.id)
    for half in ("train", "test"):
        if not halves[half]:
            raise InputError(f"{name}: no video is left to {half} with; there must be some on both sides")
    return Fold(name, tuple(sorted(halves["train"])), tuple(sorted(halves["test"])))


def leave_one_out(videos: Sequence[Video], subjects: Iterable[str]) -> tuple[Fold, ...]:
    """A fold for each of the subjects, in which that one is tested and all other videos train."""

    def without(subject: str) -> Fold:
        return divided(f"without-{subject}", videos, lambda video: "test" if video.subject == subject else "train")

    return tuple(map(without, subjects))


def subject_trials(listing: Listing, test_fraction: float, trials: int, seed: int) -> tuple[Fold, ...]:
    """Trials in which a fraction of the subjects, drawn at random, is tested, and at least one on each side.

    Raises InputError where there are fewer than two subjects, or a video without one.
    """
    nobody = [video.id for video in listing.videos if not video.subject]
    subjects = {video.subject for video in listing.videos}
    if nobody or len(subjects) < 2:
        found = f"{nobody[0]} has no subject" if nobody else f"there is one only, {min(subjects, default='')!r}"
        raise InputError(f"a division by subject needs a subject for each video, and at least two of them: {found}")
    return _trials(listing, [subjects], lambda video: video.subject, test_fraction, trials, seed)


def _official(listing: Listing, validation: Side) -> Fold:
    """The split of Schüldt et al. 2004, by the number in "person01"."""
    numbers: dict[Side, tuple[int, ...]] = {"train": OFFICIAL_TRAIN, "test": OFFICIAL_TEST}
    numbers[validation] = (*numbers.get(validation, ()), *OFFICIAL_VALIDATION)
    sides = {f"person{number:02d}": side for side, chosen in numbers.items() for number in chosen}
    return divided("official", listing.videos, lambda video: sides[video.subject])


def stratified_trials(listing: Listing, test_fraction: float, trials: int, seed: int) -> tuple[Fold, ...]:
    """Trials in which a fraction of each class, drawn at random, is tested, and at least one on each side.

    Raises InputError where a class has a single video.
    """
    strata: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for video in listing.videos:
        strata[video.labels].append(video.id)
    for labels, ids in strata.items():
        if len(ids) < 2:
            name = "|".join(listing.classes[label] for label in labels)
            raise InputError(f"class {name!r} has a single video, {ids[0]}: training and test need one each")
    return _trials(listing, strata.values(), lambda video: video.id, test_fraction, trials, seed)


def drawn(names: Iterable[str], *seed: int) -> list[str]:
    """Names in random order: by a hash of seed and name, whatever order they come in.

    >>> drawn(["a", "b", "c"], 0) == drawn(["c", "a", "b"], 0)
    True
    """

    def rank(name: str) -> bytes:
        return hashlib.blake2b(json.dumps([seed, name]).encode(), digest_size=16).digest()

    return sorted(names, key=rank)


def _trials(
    listing: Listing,
    pools: Iterable[Iterable[str]],
    unit: Callable[[Video], str],
    test_fraction: float,
    trials: int,
    seed: int,
) -> tuple[Fold, ...]:
    """One fold a trial; trial n is the same whatever the number of trials. A pool holds two units or more."""

    def fold(trial: int) -> Fold:
        tested: set[str] = set()
        for pool in pools:
            order = drawn(pool, seed, trial)
            tested.update(order[: _test_count(order, test_fraction)])
        return divided(f"trial-{trial}", listing.videos, lambda video: "test" if unit(video) in tested else "train")

    return tuple(fold(trial) for trial in range(1, trials + 1))


def _test_count(pool: Sequence[str], fraction: float) -> int:
    return min(max(round(len(pool) * fraction), 1), len(pool) - 1)
