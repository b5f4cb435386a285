"""Divisions of videos into training and test halves: by a rule, or drawn from a seed."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from data.base import Fold, Listing, Video
from pipeline.errors import InputError

Side = Literal["train", "test", "unused"]


def divided(name: str, videos: Iterable[Video], side: Callable[[Video], Side]) -> Fold:
    """The fold in which each video is where ``side`` says, ids sorted. Raises InputError where a half is empty."""
    halves: dict[Side, list[str]] = {"train": [], "test": [], "unused": []}
    for video in videos:
        halves[side(video)].append(video.id)
    for half in ("train", "test"):
        if not halves[half]:
            raise InputError(f"{name}: no video is left to {half} with; there must be some on both sides")
    return Fold(name, tuple(sorted(halves["train"])), tuple(sorted(halves["test"])))


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
