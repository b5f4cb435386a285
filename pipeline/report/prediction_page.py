"""Shows what a recognizer says of new videos: pictures, the most probable classes, and these over time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pipeline.report import html, plots
from pipeline.report.steps import Shown

if TYPE_CHECKING:
    from pipeline.results.answers import Answers

MAX_SHOWN = 60
"""Number of videos that the page shows; predictions.csv has all."""


class Opinion(NamedTuple):
    """The most probable classes of a video, by one stream or by all."""

    name: str
    best: list[tuple[str, float]]


class Card(NamedTuple):
    """One video on the page; drawings by the name of the stream, whose lines are the classes of ``lines``."""

    video: str
    path: str
    answer: str
    opinions: list[Opinion]
    strip: tuple[str, ...]
    lines: list[str]
    drawings: dict[str, str]


def page(answers: "Answers", shown: Mapping[str, Shown]) -> str:
    """Render the page as one HTML text without references to other files.

    Parameters
    ----------
    answers
        What is said of all videos.
    shown
        Pictures and steps of the videos that the page shows, by id.
    """
    rows = {video: row for row, video in enumerate(answers.answers.ids)}
    cards = [_card(f"video-{place}", answers, rows[video], shown[video]) for place, video in enumerate(shown)]
    return html.render("predictions.html.j2", answers=answers, cards=cards, asked=len(rows))


def _card(name: str, answers: "Answers", row: int, shown: Shown) -> Card:
    video, classes = answers.answers.ids[row], answers.answers.classes
    best = answers.best(row)
    opinions = [Opinion("all streams" if len(answers.streams) > 1 else "", best)]
    if len(answers.streams) > 1:
        opinions += [Opinion(title, answers.best_of(title, row)) for title in answers.streams]
    lines = [label for label, _ in best]
    drawings = {
        title: plots.class_probabilities(
            f"{name}-{place}", f"{title} over {video}", steps, [(label, classes.index(label)) for label in lines]
        )
        for place, (title, steps) in enumerate(shown.steps.items())
    }
    return Card(video, answers.paths[video], answers.answer(row), opinions, shown.strip, lines, drawings)
