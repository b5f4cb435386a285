"""Sets several experiments side by side: measured and reported figures, hyperparameter sweeps and the same clips."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.report import html, plots, timelines
from pipeline.report.traces import TracedClip
from pipeline.results import tables
from pipeline.results.experiment_figure import MeasuredFigure
from pipeline.results.sweeps import Sweep, sweeps

if TYPE_CHECKING:
    from pipeline.training.curves import Curves


@dataclass(frozen=True, slots=True)
class Compared:
    """One experiment among others.

    dataset: whose videos they are: equal ids mean equal videos within it alone; page: the experiment's report as a
    link; parameters: what may differ from experiment to experiment, by dotted places; curves and the traces of clips:
    by the network's name, which no other experiment's has; table: where the paper reports; classes: the figure of each
    by name, as a fraction, of those that have one; failed: number of videos that could not be used.
    """

    title: str
    dataset: str
    page: str
    figures: tuple[MeasuredFigure, ...]
    table: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    curves: "Mapping[str, Sequence[Curves]]" = field(default_factory=dict)
    clips: tuple[TracedClip, ...] = ()
    classes: Mapping[str, float] = field(default_factory=dict)
    failed: int = 0


class ClassGain(NamedTuple):
    """Gain of one experiment over another on a class, as a fraction."""

    name: str
    gain: float


class Gains(NamedTuple):
    """Gains of one experiment over another, best first."""

    name: str
    over: str
    classes: tuple[ClassGain, ...]


def page(experiments: Sequence[Compared]) -> str:
    """Render the page as one HTML text without references to other files."""
    clips = list(together(experiments))
    curves = {name: runs for each in experiments for name, runs in each.curves.items()}
    networks = list(dict.fromkeys([*curves, *(name for clip in clips for name in clip.traces)]))
    return html.render(
        "side_by_side.html.j2",
        experiments=experiments,
        titles=tables.TITLES,
        sweeps=[
            (sweep, plots.sweep(f"sweep-{place}", sweep), _reported(sweep))
            for place, sweep in enumerate(swept(experiments))
        ],
        gains=list(gains(experiments)),
        networks=networks,
        curves=curves,
        losses=plots.losses("losses", curves, networks) if curves else "",
        timelines=timelines.drawn(clips, networks),
    )


def gains(experiments: Sequence[Compared]) -> Iterator[Gains]:
    """Compute the gains of each experiment over the first that shares its data set, protocol, metric and classes."""
    firsts: dict[Any, Compared] = {}
    for each in experiments:
        protocol = {place: value for place, value in each.parameters.items() if place.startswith("dataset.")}
        key = each.dataset, repr(sorted(protocol.items())), each.figures[-1].metric, tuple(each.classes)
        first = firsts.setdefault(key, each)
        if first is not each and each.classes:
            gained = [ClassGain(name, share - first.classes[name]) for name, share in each.classes.items()]
            yield Gains(each.title, first.title, tuple(sorted(gained, key=lambda one: -one.gain)))


def swept(experiments: Iterable[Compared]) -> list[Sweep[MeasuredFigure]]:
    """Find sweeps: the experiments' own figures, by metric, against each number in which some of them differ alone."""
    own = [(each.parameters, each.figures[-1]) for each in experiments]
    metrics = dict.fromkeys(figure.metric for _, figure in own)
    return [
        sweep
        for metric in metrics
        for sweep in sweeps([(parameters, figure) for parameters, figure in own if figure.metric == metric])
    ]


def _reported(sweep: Sweep[MeasuredFigure]) -> bool:
    return any(figure.reported is not None for line in sweep.lines.values() for figure in line.values())


def together(experiments: Iterable[Compared]) -> Iterator[TracedClip]:
    """Join the traces that all experiments have of a clip; clips without a trace are left out.

    How internal states move is left to each experiment's own report.
    """
    found: dict[tuple[str, str], TracedClip] = {}
    for each in experiments:
        for clip in each.clips:
            if clip.traces:
                place = each.dataset, clip.video
                known = found.setdefault(place, replace(clip, traces={}))
                said = {name: replace(trace, norms=None) for name, trace in clip.traces.items()}
                found[place] = replace(known, traces={**known.traces, **said}, fps=known.fps or clip.fps)
    yield from found.values()
