"""Several experiments on one page: measured beside reported, losses together, and what each says of the same clips."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline import drawings, pages, tables, timelines
from pipeline.metrics import Summary
from pipeline.traces import Clip

if TYPE_CHECKING:
    from pipeline.fit import Curves


@dataclass(frozen=True, slots=True)
class Figure:
    """What came out of a stream, or of the fusion, in percent."""

    name: str
    metric: str
    measured: Summary
    reported: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One experiment among others.

    dataset: whose videos they are: equal ids mean equal videos within it alone; page: the experiment's report as a
    link; curves and the traces of clips: by the network's name, which no other experiment's has; table: where the
    paper reports.
    """

    title: str
    dataset: str
    page: str
    figures: tuple[Figure, ...]
    table: str = ""
    curves: "Mapping[str, Sequence[Curves]]" = field(default_factory=dict)
    clips: tuple[Clip, ...] = ()


def page(experiments: Sequence[Compared]) -> str:
    """The page, whole."""
    clips = list(together(experiments))
    curves = {name: runs for each in experiments for name, runs in each.curves.items()}
    networks = list(dict.fromkeys([*curves, *(name for clip in clips for name in clip.traces)]))
    return pages.render(
        "side_by_side.html.j2",
        experiments=experiments,
        titles=tables.TITLES,
        networks=networks,
        curves=curves,
        losses=drawings.losses("losses", curves, networks) if curves else "",
        timelines=timelines.drawn(clips, networks),
    )


def together(experiments: Iterable[Compared]) -> Iterator[Clip]:
    """Each clip once, with what all experiments that have a trace of it say; clips without any are left out.

    How internal states move is left to each experiment's own report.
    """
    found: dict[tuple[str, str], Clip] = {}
    for each in experiments:
        for clip in each.clips:
            if clip.traces:
                place = each.dataset, clip.video
                known = found.setdefault(place, replace(clip, traces={}))
                said = {name: replace(trace, norms=None) for name, trace in clip.traces.items()}
                found[place] = replace(known, traces={**known.traces, **said}, fps=known.fps or clip.fps)
    yield from found.values()
