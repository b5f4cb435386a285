"""Shows what a recognizer says of new videos: pictures, the most probable classes, and these over time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pipeline.report import html, plots
from pipeline.report.steps import Shown
from pipeline.results.segments import Segment

if TYPE_CHECKING:
    from pipeline.results.answers import Answers, Film

MAX_SHOWN = 60
"""Number of videos, and of films, that the page shows; predictions.csv and segments.csv have all."""
MAX_LINES = 5
"""Number of classes whose probabilities are drawn over a film."""


class Opinion(NamedTuple):
    """The most probable classes of a video, by one stream or by all."""

    name: str
    best: list[tuple[str, float]]


class Part(NamedTuple):
    """A segment on the page, and as shares of the film where it begins and how much of it it takes."""

    segment: Segment
    start: float
    share: float


class Card(NamedTuple):
    """One video on the page; drawings by the name of the stream, whose lines are the classes of ``lines``.

    A film that was asked about window by window has segments, and no opinions on the whole.
    """

    video: str
    path: str
    answer: str
    opinions: list[Opinion]
    strip: tuple[str, ...]
    lines: list[str]
    drawings: dict[str, str]
    segments: list[Part]
    detected: str = ""


def page(answers: "Answers", shown: Mapping[str, Shown]) -> str:
    """Render the page as one HTML text without references to other files.

    Parameters
    ----------
    answers
        What is said of all videos.
    shown
        Pictures and steps of the films and videos that the page shows, by id.
    """
    rows = {answers.answers.ids[row]: row for row in answers.whole}
    films = {film.id: film for film in answers.films}
    cards = [
        _film_card(f"video-{place}", answers, films[video], each)
        if video in films
        else _card(f"video-{place}", answers, rows[video], each)
        for place, (video, each) in enumerate(shown.items())
    ]
    return html.render("predictions.html.j2", answers=answers, cards=cards, asked=len(rows) + len(films))


def _film_card(name: str, answers: "Answers", film: "Film", shown: Shown) -> Card:
    seconds: dict[str, float] = {}
    for segment in film.segments:
        seconds[segment.name] = seconds.get(segment.name, 0.0) + segment.end_s - segment.start_s
    longest = sorted(seconds, key=lambda label: (-seconds[label], label))
    lines = [label for label in longest if label in answers.answers.classes][:MAX_LINES]
    length = float(film.moments.edges[-1])
    parts = [
        Part(segment, segment.start_s / length, (segment.end_s - segment.start_s) / length) for segment in film.segments
    ]
    drawings = _drawings(name, answers, film.id, shown, lines)
    return Card(film.id, answers.paths[film.id], "", [], shown.strip, lines, drawings, parts)


def _card(name: str, answers: "Answers", row: int, shown: Shown) -> Card:
    video = answers.answers.ids[row]
    best = answers.best(row)
    opinions = [Opinion("all streams" if len(answers.streams) > 1 else "", best)]
    if len(answers.streams) > 1:
        opinions += [Opinion(title, answers.best_of(title, row)) for title in answers.streams]
    lines = [label for label, _ in best]
    drawings = _drawings(name, answers, video, shown, lines)
    found = answers.detected
    detected = "" if found is None else f"{found.name} {'detected' if answers.is_detected(row) else 'not detected'}"
    answer = answers.answer(row)
    return Card(video, answers.paths[video], answer, opinions, shown.strip, lines, drawings, [], detected)


def _drawings(name: str, answers: "Answers", video: str, shown: Shown, lines: Sequence[str]) -> dict[str, str]:
    columns = [(label, answers.answers.classes.index(label)) for label in lines]
    return {
        title: plots.class_probabilities(f"{name}-{place}", f"{title} over {video}", steps, columns)
        for place, (title, steps) in enumerate(shown.steps.items())
    }
