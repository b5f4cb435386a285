"""Protocols: what divides videos into halves, whatever the data set."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.base import Fold, Listing, Video
from data.kth import KTH
from data.protocols import (
    OFFICIAL_TEST,
    OFFICIAL_TRAIN,
    OFFICIAL_VALIDATION,
    BySubject,
    drawn,
    leave_one_out,
    stratified_trials,
    subject_trials,
)
from data.stick_figures.dataset import StickFigures
from pipeline.errors import InputError


def listed(subjects: list[str], labels: list[int]) -> Listing:
    videos = [Video(f"v{n:03d}", {}, (label,), s) for n, (s, label) in enumerate(zip(subjects, labels, strict=True))]
    return Listing(tuple("abcdefgh"), tuple(videos))


@given(st.lists(st.sampled_from("pqrstu"), min_size=2, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9))
def test_by_subject(subjects: list[str], fraction: float, seed: int):
    listing = listed(subjects, [0] * len(subjects))
    number = len(set(subjects))
    if number < 2:
        with pytest.raises(InputError, match="at least two"):
            subject_trials(listing, fraction, 1, seed)
        return
    for fold in subject_trials(listing, fraction, 3, seed):
        tested = {subjects[int(id[1:])] for id in fold.test}
        assert not tested & {subjects[int(id[1:])] for id in fold.train}
        assert len(fold.train) + len(fold.test) == len(subjects)
        assert len(tested) == min(max(round(fraction * number), 1), number - 1)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=8), st.floats(0.01, 0.99), st.integers(0, 9))
def test_stratified(sizes: list[int], fraction: float, seed: int):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    for fold in stratified_trials(listed([""] * len(labels), labels), fraction, 2, seed):
        tested = Counter(labels[int(id[1:])] for id in fold.test)
        trained = Counter(labels[int(id[1:])] for id in fold.train)
        for label, size in enumerate(sizes):
            assert tested[label] == min(max(round(fraction * size), 1), size - 1)
            assert tested[label] + trained[label] == size


def test_a_trial_is_the_same_whatever_their_number():
    listing = listed(list("ppqqrrsstt"), [0, 1] * 5)
    five = subject_trials(listing, 0.4, 5, seed=7)
    assert five[:2] == subject_trials(listing, 0.4, 2, seed=7)
    assert len({fold.test for fold in five}) > 1
    assert five != subject_trials(listing, 0.4, 5, seed=8)


def test_every_order_is_as_likely():
    orders = Counter("".join(drawn("abc", seed)) for seed in range(6000))
    assert len(orders) == 6
    assert all(abs(number - 1000) < 5 * 29 for number in orders.values())  # five standard deviations


def test_single_video_and_missing_subject():
    with pytest.raises(InputError, match="class 'b' has a single video, v002"):
        stratified_trials(listed([""] * 3, [0, 0, 1]), 0.3, 1, 0)
    with pytest.raises(InputError, match="v001 has no subject"):
        subject_trials(listed(["p", "", "q"], [0, 0, 1]), 0.3, 1, 0)


# Protocols by subject, which KTH and the stick figures share.

KINDS = (KTH, StickFigures)


def people(*numbers: int) -> Listing:
    """Two videos of each subject."""
    return listed([f"person{number:02d}" for number in numbers for _ in range(2)], [0, 1] * len(numbers))


def configured(kind: type[BySubject], **fields: Any) -> BySubject:
    return kind.model_validate({**({"subjects": 25} if kind is StickFigures else {}), **fields})


def divided(config: BySubject, listing: Listing) -> list[tuple[set[int], set[int]]]:
    """Numbers of the subjects in both halves of each fold."""
    subject = {video.id: int(video.subject.removeprefix("person")) for video in listing.videos}
    halves = [
        ({subject[id] for id in fold.train}, {subject[id] for id in fold.test}) for fold in folds(config, listing)
    ]
    assert not any(train & test for train, test in halves)
    return halves


def folds(config: BySubject, listing: Listing) -> tuple[Fold, ...]:
    return config.folds(Path(), listing)


@pytest.mark.parametrize("kind", KINDS)
class TestBySubject:
    def test_trials_of_sixteen_and_nine(self, kind: type[BySubject]):
        everybody = people(*range(1, 26))
        five = divided(configured(kind, trials=5), everybody)
        assert [(len(train), len(test)) for train, test in five] == [(16, 9)] * 5
        assert all(train | test == set(range(1, 26)) for train, test in five)
        assert len({frozenset(test) for _, test in five}) == 5
        assert divided(configured(kind, trials=9), everybody)[:5] == five
        assert divided(configured(kind, trials=5, protocol_seed=1), everybody) != five
        twenty = configured(kind, trials=5, train_subjects=20)
        assert [len(train) for train, _ in divided(twenty, everybody)] == [20] * 5

    def test_the_official_split(self, kind: type[BySubject]):
        everybody = people(*range(1, 26))
        assert [len(half) for half in (OFFICIAL_TRAIN, OFFICIAL_VALIDATION, OFFICIAL_TEST)] == [8, 8, 9]
        assert sorted(OFFICIAL_TRAIN + OFFICIAL_VALIDATION + OFFICIAL_TEST) == list(range(1, 26))
        train, validation, test = map(set, (OFFICIAL_TRAIN, OFFICIAL_VALIDATION, OFFICIAL_TEST))
        assert divided(configured(kind, protocol="official"), everybody) == [(train, test)]
        trained = configured(kind, protocol="official", train_on_validation=True)
        assert divided(trained, everybody) == [(train | validation, test)]

    def test_each_subject_is_left_out_once(self, kind: type[BySubject]):
        config, everybody = configured(kind, protocol="leave_one_out"), people(*range(1, 26))
        assert [test for _, test in divided(config, everybody)] == [{number} for number in range(1, 26)]
        assert all(len(train) == 24 for train, _ in divided(config, everybody))
        assert folds(config, everybody)[6].name == "without-person07"

    def test_some_subjects_are_divided_in_the_same_ratio_and_that_is_said(self, kind: type[BySubject]):
        some = people(1, 7, 9, 14, 15, 16, 20, 21, 23, 25)
        assert [(len(train), len(test)) for train, test in divided(configured(kind, trials=3), some)] == [(6, 4)] * 3
        assert [len(train) for train, _ in divided(configured(kind, trials=3, train_subjects=20), some)] == [8] * 3
        assert divided(configured(kind, protocol="official"), some) == [({14, 15, 16}, {7, 9})]
        assert len(folds(configured(kind, protocol="leave_one_out"), some)) == 10
        for protocol, halves in (("trials", "6 train and 4 are"), ("official", "3 train and 2 are")):
            said = configured(kind, protocol=protocol).notes(some)[-1]
            assert said.startswith(f"Only 10 of the 25 subjects are present: of these, {halves} tested in each fold")

    def test_a_half_without_videos_is_refused(self, kind: type[BySubject]):
        for numbers, half in (((11, 12, 19), "test"), ((19, 2, 3), "train")):
            with pytest.raises(InputError, match=f"official: no video is left to {half} on"):
                folds(configured(kind, protocol="official"), people(*numbers))
        with pytest.raises(InputError, match="at least two of them: there is only one, 'person04'"):
            folds(configured(kind), people(4))
        with pytest.raises(InputError, match="without-person04: no video is left to train on"):
            folds(configured(kind, protocol="leave_one_out"), people(4))

    @pytest.mark.parametrize(
        ("fields", "match"),
        [
            ({"train_subjects": 25}, "train_subjects must be below 25"),
            ({"protocol": "official", "trials": 3}, "trials belongs to protocol = 'trials'; leave it out"),
            ({"protocol": "leave_one_out", "protocol_seed": 3}, "protocol_seed belongs to protocol = 'trials'"),
            ({"protocol": "official", "train_subjects": 3}, "train_subjects belongs to protocol = 'trials'"),
            ({"train_on_validation": True}, "train_on_validation belongs to protocol = 'official'"),
            ({"protocol": "loo"}, "'official' or 'leave_one_out'"),
        ],
    )
    def test_impossible_protocols(self, kind: type[BySubject], fields: dict[str, Any], match: str):
        with pytest.raises(ValidationError, match=match):
            configured(kind, **fields)


def test_nothing_is_said_of_whole_data_sets():
    assert configured(StickFigures).notes(people(*range(1, 26))) == ()
    assert StickFigures(subjects=9).notes(people(*range(1, 10))) == ()


def test_the_official_split_needs_all_of_its_subjects():
    with pytest.raises(ValidationError, match="the official split divides 25 subjects, and this data set has 9"):
        StickFigures(protocol="official")


def test_only_the_subjects_asked_for_are_left_out():
    chosen = leave_one_out(people(1, 2, 3).videos, ["person02"])
    assert [(fold.name, len(fold.train), len(fold.test)) for fold in chosen] == [("without-person02", 4, 2)]
