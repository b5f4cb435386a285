"""Draws the plots of reports: inline SVG in the page's own colours."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.report.inline_svg import TIP, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.report.steps import Steps
    from pipeline.report.traces import TracedClip
    from pipeline.results.experiment_figure import MeasuredFigure
    from pipeline.results.sweeps import Sweep
    from pipeline.scoring.detection import Detection
    from pipeline.training.curves import Curves

_COLOURS = {
    "#010203": "currentColor",
    "#010204": "var(--right)",
    "#010205": "var(--line)",
    "#010206": "var(--wrong)",
    "#010207": "var(--stream-1)",
    "#010208": "var(--stream-2)",
    "#010209": "var(--stream-0)",
}
_INK, _LINE, _RULE, *_OTHERS = _COLOURS
_SERIES = (_LINE, *_OTHERS, _INK)
_DASHES = ((), (6, 2), (1.5, 1.5), (8, 2, 1.5, 2), (3, 1.5))  # in widths of the line
_SIZE_INCHES = (5.0, 3.0)
_TIMELINE_INCHES = (5.6, 2.1)
TIMELINE = (0.12, 0.96)
"""From where to where, as shares of its width, the time axis of a clip's drawing reaches."""
MOTION = ("velocity ‖v‖₂", "acceleration ‖a‖₂")
_LOGARITHMIC = 8
"""An axis whose values grow so many times is drawn in equal ratios."""


class Style(NamedTuple):
    """Colour and dashes of one of several lines: no two lines share both, and few share either."""

    colour: str
    dashes: tuple[float, ...]

    @property
    def css(self) -> str:
        """Name of the colour in the page's style sheet."""
        return _COLOURS[self.colour]


def styles(names: Sequence[str]) -> dict[str, Style]:
    """Assign a style to each name, in order.

    The colours are those of Okabe and Ito, darkened or lightened to stand out on the page.
    """
    turn, colours = len(_DASHES), len(_SERIES)
    return {
        name: Style(_SERIES[place % colours], _DASHES[(place + place // (turn * colours)) % turn])
        for place, name in enumerate(names)
    }


def training_curves(name: str, labels: Sequence[str], curves: "Sequence[Curves | None]") -> list[str]:
    """Plot loss and accuracy by epoch: each run thin, their mean bold; dotted where the first run's rate changes."""
    drawn = [(label, curve) for label, curve in zip(labels, curves, strict=True) if curve is not None]
    rates = drawn[0][1].lr
    falls = [epoch for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]]
    loss = {label: curve.loss for label, curve in drawn}
    accuracy = {label: tuple(100 * share for share in curve.accuracy) for label, curve in drawn}
    return [
        _curves(f"{name}-loss", "training loss", loss, falls),
        _curves(f"{name}-accuracy", "training accuracy [%]", accuracy, falls),
    ]


def losses(name: str, curves: "Mapping[str, Sequence[Curves]]", networks: Sequence[str]) -> str:
    """Plot the training loss by epoch, one line a network: the mean of its runs, up to the last epoch of all.

    networks: all that have a style of their own.
    """

    def draw(figure: "Figure") -> None:
        axes = _by_epoch(figure, "training loss")
        for label, runs in curves.items():
            mean = _mean([run.loss for run in runs])
            _line(axes, _epochs(mean), mean, f"{label}: {mean[-1]:.3g} at the end", **_drawn(styles(networks)[label]))

    return _svg(name, "training loss by epoch", draw)


def detection(name: str, title: str, lines: "Mapping[str, Detection]") -> list[str]:
    """Plot the receiver operating characteristic, and precision against recall; a ring stands at the threshold."""

    def roc(figure: "Figure") -> None:
        axes = _of_shares(figure, "false positive rate [%]", "recall [%]")
        for (label, found), style in zip(lines.items(), styles(list(lines)).values(), strict=True):
            tip = f"{label}: AUC {100 * found.auc:.1f} %"
            _line(axes, 100 * found.false_positive_rate, 100 * found.recall, tip, **_drawn(style))

    def precision_recall(figure: "Figure") -> None:
        axes = _of_shares(figure, "recall [%]", "precision [%]")
        for (label, found), style in zip(lines.items(), styles(list(lines)).values(), strict=True):
            tip = f"{label}: average precision {100 * found.average_precision:.1f} %"
            _line(axes, 100 * found.recall, 100 * found.precision, tip, **_drawn(style))
            ring = {"linestyle": "", "marker": "o", "markerfacecolor": "none", "color": style.colour, "markersize": 8}
            there = f"{label}: at the threshold {found.threshold:.3f}"
            _line(axes, [100 * found.recall_there], [100 * found.precision_there], there, **ring)

    drawn = {"receiver operating characteristic": roc, "precision and recall": precision_recall}
    return [_svg(f"{name}-{place}", f"{what} of {title}", draw) for place, (what, draw) in enumerate(drawn.items())]


def _of_shares(figure: "Figure", across: str, up: str) -> "Axes":
    axes: Axes = figure.subplots()
    axes.set(xlim=(-2, 102), ylim=(-2, 102), xlabel=across, ylabel=up)
    _ruled(axes)
    return axes


def sweep(name: str, swept: "Sweep[MeasuredFigure]") -> str:
    """Plot accuracy against a hyperparameter, one line for each setting of the others; diamonds are reported."""

    def draw(figure: "Figure") -> None:
        axes: Axes = figure.subplots()
        metric = next(iter(next(iter(swept.lines.values())).values())).metric.replace("_", " ")
        axes.set(xlabel=swept.parameter, ylabel=f"{metric} [%]")
        if 0 < swept.values[0] * _LOGARITHMIC <= swept.values[-1]:
            axes.set_xscale("log")
        axes.set_xticks(swept.values, [f"{value:g}" for value in swept.values])
        axes.set_xticks([], minor=True)
        _ruled(axes)
        for label, style in styles(list(swept.lines)).items():
            _outcomes(axes, label, swept.lines[label], style)

    return _svg(name, f"against {swept.parameter}", draw)


def _outcomes(axes: "Axes", label: str, line: "Mapping[float, MeasuredFigure]", style: Style) -> None:
    means = [figure.measured.mean for figure in line.values()]
    spread = {value: figure.measured.deviation for value, figure in line.items() if figure.measured.deviation}
    reported = {value: figure.reported for value, figure in line.items() if figure.reported is not None}
    told = ", ".join(f"{mean:.1f}" for mean in means)
    _line(axes, list(line), means, f"{label}: {told}", **_drawn(style), marker="o", markersize=5)
    axes.vlines(
        list(spread),
        [line[value].measured.mean - deviation for value, deviation in spread.items()],
        [line[value].measured.mean + deviation for value, deviation in spread.items()],
        color=style.colour,
        linewidth=1,
    )
    if reported:
        hollow = {"linestyle": "", "marker": "D", "markerfacecolor": "none", "color": style.colour, "markersize": 7}
        told = ", ".join(f"{figure:g}" for figure in reported.values())
        _line(axes, list(reported), list(reported.values()), f"{label}, reported: {told}", **hollow)


def motion(name: str, clip: "TracedClip", network: str) -> str:
    """Plot ‖v_t‖₂ and ‖a_t‖₂ of a dRNN's state over a clip: Veeriah et al. (ICCV 2015), figure 3."""
    trace = clip.traces[network]
    assert trace.norms is not None
    norms = dict(zip(MOTION, trace.norms.T[1:3], strict=True))

    def draw(figure: "Figure") -> None:
        axes = _timeline(figure, clip, "norm (no unit)")
        for (label, values), style in zip(norms.items(), styles(MOTION).values(), strict=True):
            _line(axes, trace.frames, values, f"{label}: at most {values.max():.3g}", **_drawn(style))
        axes.set_ylim(bottom=0)

    return _svg(name, f"{' and '.join(MOTION)} of {network} over {clip.video}", draw, _TIMELINE_INCHES)


def probabilities(name: str, clip: "TracedClip", networks: Sequence[str]) -> str:
    """Plot the probability of the clip's class at every step, one line a network: Veeriah et al. (ICCV 2015), figure 4.

    networks: as ``losses`` has them; those without a trace of this clip are left out.
    """

    def draw(figure: "Figure") -> None:
        axes = _timeline(figure, clip, "probability [%]")
        for network, style in styles(networks).items():
            if network in clip.traces:
                values = 100 * clip.traces[network].probability
                tip = f"{network}: {values[-1]:.1f} % at the end"
                _line(axes, clip.traces[network].frames, values, tip, **_drawn(style))
        axes.set(ylim=(-3, 103), yticks=range(0, 101, 25))

    return _svg(name, f"probability of {clip.label} over {clip.video}", draw, _TIMELINE_INCHES)


def class_probabilities(name: str, title: str, steps: "Steps", classes: Sequence[tuple[str, int]]) -> str:
    """Plot the probability of some classes over a video, one line a class; classes: names, and columns of ``steps``."""

    def draw(figure: "Figure") -> None:
        axes: Axes = figure.subplots()
        unit = "time [s]" if steps.unit == "s" else "frame"
        axes.set(xlim=(0, steps.end), ylim=(-3, 103), yticks=range(0, 101, 25), xlabel=unit, ylabel="probability [%]")
        _ruled(axes)
        for (label, column), style in zip(classes, styles([label for label, _ in classes]).values(), strict=True):
            values = 100 * steps.probabilities[:, column]
            _line(axes, steps.starts, values, f"{label}: at most {np.nanmax(values):.1f} %", **_drawn(style))

    return _svg(name, f"probabilities of {title}", draw, _TIMELINE_INCHES)


def _timeline(figure: "Figure", clip: "TracedClip", quantity: str) -> "Axes":
    figure.set_layout_engine("none")  # the pictures above stand by the axis's ends
    left, right = TIMELINE
    axes: Axes = figure.add_axes((left, 0.235, right - left, 0.71))
    rate = "" if clip.fps is None else f", {clip.fps:g} a second"
    axes.set(xlim=(0, clip.length_frames), xlabel=f"frame of the clip{rate}", ylabel=quantity)
    _ruled(axes)
    return axes


def _by_epoch(figure: "Figure", quantity: str) -> "Axes":
    from matplotlib.ticker import MaxNLocator

    axes: Axes = figure.subplots()
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _ruled(axes)
    return axes


def _ruled(axes: "Axes") -> None:
    axes.yaxis.grid(color=_RULE)
    axes.set_axisbelow(True)


def _drawn(style: Style) -> dict[str, Any]:
    return {"color": style.colour, "linewidth": 2.0, "linestyle": (0, style.dashes) if style.dashes else "-"}


def _curves(name: str, quantity: str, runs: dict[str, tuple[float, ...]], falls: Sequence[int]) -> str:
    def draw(figure: "Figure") -> None:
        axes = _by_epoch(figure, quantity)
        several = len(runs) > 1
        for label, values in runs.items():
            style = {"color": _LINE, "alpha": 0.45, "linewidth": 0.9} if several else {"color": _LINE, "linewidth": 2.2}
            _line(axes, _epochs(values), values, f"{label}: {values[-1]:.3g} at the end", **style)
        if several:
            mean, tip = _mean(list(runs.values())), f"mean of {len(runs)} runs"
            _line(axes, _epochs(mean), mean, f"{tip}: {mean[-1]:.3g} at the end", color=_LINE, linewidth=2.4)
        for epoch in falls:
            rule = axes.axvline(epoch + 0.5, linestyle=":", color=_INK, alpha=0.5)
            rule.set_gid(f"{TIP}the learning rate changes after epoch {epoch}")

    return _svg(name, f"{quantity} by epoch", draw)


def _epochs(values: Sequence[float] | np.ndarray) -> range:
    return range(1, len(values) + 1)


def _mean(runs: Sequence[Sequence[float]]) -> np.ndarray:
    """Over runs, as far as all of them go."""
    shortest = min(map(len, runs))
    mean: np.ndarray = np.mean([values[:shortest] for values in runs], axis=0)
    return mean


def _line(
    axes: "Axes", places: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray, tip: str, **style: Any
) -> None:
    (line,) = axes.plot(places, values, **{"marker": "o" if len(values) == 1 else None, **style})
    line.set_gid(TIP + tip)


def _svg(
    name: str, description: str, draw: Callable[["Figure"], None], size_inches: tuple[float, float] = _SIZE_INCHES
) -> str:
    """An inline SVG, drawn so that it is read at half its size; the same drawing gives the same bytes.

    What has a group id that begins with ``TIP`` gets the rest of it as its title.
    """
    import matplotlib
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(inked, _INK) | {"axes.edgecolor": _RULE, "xtick.color": _INK}
    style |= {"svg.hashsalt": name, "svg.fonttype": "none", "text.parse_math": False, "font.size": 11}
    style |= dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False)
    style |= {"ytick.major.size": 0, "xtick.major.size": 3}
    text = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=size_inches, layout="constrained")
        draw(figure)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    return inline(text.getvalue(), description, _COLOURS)
