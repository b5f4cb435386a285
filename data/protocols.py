"""Protocols, which divide videos into training and test halves: by a rule, or at random from a seed."""

import hashlib
import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.base import Dataset, Fold, Listing, Video
from pipeline.config import Few, Seed
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
"""Protocol to which each field belongs."""


class BySubject(Dataset):
    """Data sets in the form of KTH, with subjects "person01", "person02" …, whose videos stay together.

    Three protocols divide the subjects:

    - "trials": random divisions, in the ratio of 16 to 9 subjects, as in Baccouche et al. and later papers; trial n is
      the same whatever the number of trials;
    - "official": the one split of Schüldt et al.: 8 subjects train and 9 are tested; the 8 on which they chose
      parameters are left out, or train as well;
    - "leave_one_out": one fold for each subject, who is tested alone.

    Where only some subjects are present, these are divided: at random in the same ratio, or by the official split.

    References
    ----------
    Schüldt, Laptev and Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004.

    Baccouche, Mamalet, Wolf, Garcia and Baskurt, "Sequential Deep Learning for Human Action Recognition", HBU 2011.
    """

    protocol_fields: ClassVar[frozenset[str]] = frozenset({"protocol", *_BELONGS_TO})

    protocol: Literal["trials", "official", "leave_one_out"] = Field(
        "trials", description='"trials": random divisions; "official": the published split; "leave_one_out"'
    )
    trials: Few = Field(5, description="number of random divisions")
    train_subjects: Few | None = Field(
        None, description="number of subjects that train in each trial; None: 16 of every 25"
    )
    protocol_seed: Seed = Field(0, description="seed of the random divisions")
    train_on_validation: bool = Field(False, description="train on the official validation subjects as well")

    @property
    @abstractmethod
    def all_subjects(self) -> int:
        """Number of subjects in the whole data set."""

    @model_validator(mode="after")
    def _protocol_is_possible(self) -> Self:
        if self.train_subjects is not None and self.train_subjects >= self.all_subjects:
            raise ValueError(f"train_subjects must be below {self.all_subjects}, to leave subjects for the test")
        official = len(OFFICIAL_TRAIN + OFFICIAL_VALIDATION + OFFICIAL_TEST)
        if self.protocol == "official" and self.all_subjects != official:
            raise ValueError(
                f"the official split divides {official} subjects, and this data set has {self.all_subjects}"
            )
        for name, protocol in _BELONGS_TO.items():
            if protocol != self.protocol and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} belongs to protocol = {protocol!r}; leave it out with {self.protocol!r}")
        return self

    def folds(self, root: Path, listing: Listing) -> tuple[Fold, ...]:
        """Return the protocol's folds. Raises InputError where a half is empty."""
        if self.protocol == "official":
            return (_official(listing, "train" if self.train_on_validation else "unused"),)
        if self.protocol == "leave_one_out":
            return leave_one_out(listing.videos, sorted({video.subject for video in listing.videos}))
        chosen = self.train_subjects
        test_fraction = _TEST_FRACTION if chosen is None else 1 - chosen / self.all_subjects
        return subject_trials(listing, test_fraction, self.trials, self.protocol_seed)

    def notes(self, listing: Listing) -> tuple[str, ...]:
        """Note how the folds divide the subjects that are present, where some are not."""
        subject = {video.id: video.subject for video in listing.videos}
        there = len(set(subject.values()))
        if there == self.all_subjects:
            return ()
        fold = self.folds(Path(), listing)[0]
        train, test = (len({subject[id] for id in half}) for half in (fold.train, fold.test))
        return (
            f"Only {there} of the {self.all_subjects} subjects are present: of these, {train} "
            f"{'trains' if train == 1 else 'train'} and {test} {'is' if test == 1 else 'are'} tested in each fold of "
            f"protocol {self.protocol!r}.",
        )


def divided(name: str, videos: Iterable[Video], side: Callable[[Video], Side]) -> Fold:
    """Return the fold in which each video is in the half that ``side`` returns; ids are sorted.

    Parameters
    ----------
    name : str
        Name of the fold.
    videos : Iterable of Video
        The videos to be divided.
    side : callable
        Maps a video to "train", "test" or "unused".

    Raises
    ------
    InputError
        Where a half is empty.

    Examples
    --------
    >>> videos = [Video(id, {}, (0,)) for id in ("a", "b", "c")]
    >>> divided("demo", videos, lambda video: "test" if video.id == "b" else "train")
    Fold(name='demo', train=('a', 'c'), test=('b',))
    """
    halves: dict[Side, list[str]] = {"train": [], "test": [], "unused": []}
    for video in videos:
        halves[side(video)].append(video.id)
    for half in ("train", "test"):
        if not halves[half]:
            raise InputError(f"{name}: no video is left to {half} on; both halves need some")
    return Fold(name, tuple(sorted(halves["train"])), tuple(sorted(halves["test"])))


def leave_one_out(videos: Sequence[Video], subjects: Iterable[str]) -> tuple[Fold, ...]:
    """Return a fold for each of the subjects, in which that one is tested and all other videos train."""

    def without(subject: str) -> Fold:
        return divided(f"without-{subject}", videos, lambda video: "test" if video.subject == subject else "train")

    return tuple(map(without, subjects))


def subject_trials(listing: Listing, test_fraction: float, trials: int, seed: int) -> tuple[Fold, ...]:
    """Draw trials in which a fraction of the subjects is tested, with at least one subject on each side.

    Parameters
    ----------
    listing : Listing
        The videos to be divided.
    test_fraction : float
        Fraction of the subjects that is tested.
    trials : int
        Number of trials.
    seed : int
        Seed of the draw; trial n is the same whatever the number of trials.

    Raises
    ------
    InputError
        Where there are fewer than two subjects, or a video has none.
    """
    nobody = [video.id for video in listing.videos if not video.subject]
    subjects = {video.subject for video in listing.videos}
    if nobody or len(subjects) < 2:
        found = f"{nobody[0]} has no subject" if nobody else f"there is only one, {min(subjects, default='')!r}"
        raise InputError(f"a division by subject needs a subject for each video, and at least two of them: {found}")
    return _trials(listing, [subjects], lambda video: video.subject, test_fraction, trials, seed)


def _official(listing: Listing, validation: Side) -> Fold:
    """Return the split of Schüldt et al. 2004, by the number in "person01"."""
    numbers: dict[Side, tuple[int, ...]] = {"train": OFFICIAL_TRAIN, "test": OFFICIAL_TEST}
    numbers[validation] = (*numbers.get(validation, ()), *OFFICIAL_VALIDATION)
    sides = {f"person{number:02d}": side for side, chosen in numbers.items() for number in chosen}
    return divided("official", listing.videos, lambda video: sides[video.subject])


def stratified_trials(listing: Listing, test_fraction: float, trials: int, seed: int) -> tuple[Fold, ...]:
    """Draw trials in which a fraction of each class is tested, with at least one of its videos on each side.

    Parameters are those of ``subject_trials``. Raises InputError where a class has a single video.
    """
    strata: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for video in listing.videos:
        strata[video.labels].append(video.id)
    for labels, ids in strata.items():
        if len(ids) < 2:
            name = "|".join(listing.classes[label] for label in labels)
            raise InputError(f"class {name!r} has a single video, {ids[0]}; training and test need one each")
    return _trials(listing, strata.values(), lambda video: video.id, test_fraction, trials, seed)


def drawn(names: Iterable[str], *seed: int) -> list[str]:
    """Return names in random order: that of a hash of seed and name, whatever order they come in.

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
    """Return one fold for each trial, the same whatever the number of trials. A pool holds two units or more."""

    def fold(trial: int) -> Fold:
        tested: set[str] = set()
        for pool in pools:
            order = drawn(pool, seed, trial)
            tested.update(order[: _test_count(order, test_fraction)])
        return divided(f"trial-{trial}", listing.videos, lambda video: "test" if unit(video) in tested else "train")

    return tuple(fold(trial) for trial in range(1, trials + 1))


def _test_count(pool: Sequence[str], fraction: float) -> int:
    return min(max(round(len(pool) * fraction), 1), len(pool) - 1)
