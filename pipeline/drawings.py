"""Drawings of the report: inline SVG in the page's own colours."""

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.fit import Curves

_COLOURS = {"#010203": "currentColor", "#010204": "var(--right)", "#010205": "var(--line)"}
_INK, _LINE, _RULE = _COLOURS
_SIZE_INCHES = (5.0, 3.0)
_TIP = "tip:"


def training_curves(name: str, labels: Sequence[str], curves: "Sequence[Curves | None]") -> list[str]:
    """Loss and accuracy by epoch: each run thin, their mean bold; dotted where the first run's rate changes."""
    drawn = [(label, curve) for label, curve in zip(labels, curves, strict=True) if curve is not None]
    rates = drawn[0][1].lr
    falls = [epoch for epoch in range(1, len(rates)) if rates[epoch] != rates[epoch - 1]]
    loss = {label: curve.loss for label, curve in drawn}
    accuracy = {label: tuple(100 * share for share in curve.accuracy) for label, curve in drawn}
    return [
        _curves(f"{name}-loss", "training loss", loss, falls),
        _curves(f"{name}-accuracy", "training accuracy [%]", accuracy, falls),
    ]


def _curves(name: str, quantity: str, runs: dict[str, tuple[float, ...]], falls: Sequence[int]) -> str:
    from matplotlib.ticker import MaxNLocator

    def draw(figure: "Figure") -> None:
        axes: Axes = figure.subplots()
        several = len(runs) > 1
        for label, values in runs.items():
            style = {"color": _LINE, "alpha": 0.45, "linewidth": 0.9} if several else {"color": _LINE, "linewidth": 2.2}
            _line(axes, values, f"{label}: {values[-1]:.3g} at the end", **style)
        if several:
            epochs = min(map(len, runs.values()))
            mean = np.mean([values[:epochs] for values in runs.values()], axis=0)
            _line(axes, mean, f"mean of {len(runs)} runs: {mean[-1]:.3g} at the end", color=_LINE, linewidth=2.4)
        for epoch in falls:
            rule = axes.axvline(epoch + 0.5, linestyle=":", color=_INK, alpha=0.5)
            rule.set_gid(f"{_TIP}the learning rate changes after epoch {epoch}")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.grid(color=_RULE)
        axes.set_axisbelow(True)

    return _svg(name, f"{quantity} by epoch", draw)


def _line(axes: "Axes", values: Sequence[float] | np.ndarray, tip: str, **style: Any) -> None:
    marker = "o" if len(values) == 1 else None
    (line,) = axes.plot(range(1, len(values) + 1), values, marker=marker, **style)
    line.set_gid(_TIP + tip)


def _svg(name: str, description: str, draw: Callable[["Figure"], None]) -> str:
    """An inline SVG, drawn so that it is read at half its size; the same drawing gives the same bytes.

    Colours become the page's; what has a group id that begins with ``tip:`` gets that as its title.
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
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        draw(figure)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for placeholder, colour in _COLOURS.items():
        drawing = drawing.replace(placeholder, colour)
    drawing = re.sub(rf'<g id="{_TIP}([^"]*)"([^>]*)>', r"<g\2><title>\1</title>", drawing)
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)  # nothing refers to groups, and pages hold several drawings
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawing)
    return drawing.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
