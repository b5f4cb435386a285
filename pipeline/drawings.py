"""Drawings of the report: inline SVG in the page's own text colour."""

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.fit import Curves

_INK = "#010203"  # stands for the page's own text colour
_BLUE = (0.16, 0.45, 0.85)


def training_curves(name: str, labels: Sequence[str], curves: "Sequence[Curves | None]") -> str:
    """Loss and accuracy by epoch, a line a run; dotted where the first run's learning rate changes."""

    def draw(figure: "Figure") -> None:
        loss, accuracy = figure.subplots(1, 2)
        for label, curve in zip(labels, curves, strict=True):
            if curve is not None:
                epochs = range(1, len(curve.loss) + 1)
                marker = "." if len(epochs) == 1 else None
                loss.plot(epochs, curve.loss, label=label, marker=marker)
                accuracy.plot(epochs, [100 * value for value in curve.accuracy], marker=marker)
        loss.set(xlabel="epoch", ylabel="training loss")
        accuracy.set(xlabel="epoch", ylabel="training accuracy [%]")
        first = next(curve for curve in curves if curve is not None)
        falls = [epoch for epoch in range(1, len(first.lr)) if first.lr[epoch] != first.lr[epoch - 1]]
        for axes in (loss, accuracy):
            axes.xaxis.get_major_locator().set_params(integer=True)
            for epoch in falls:
                axes.axvline(epoch + 0.5, linestyle=":", color=_INK, alpha=0.5)
        if len(loss.lines) - len(falls) <= 8:
            loss.legend(frameon=False)

    return _svg(name, "training loss and accuracy by epoch", (9, 3.2), draw)


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> str:
    """Rows true, columns predicted, shares of the row as opacity; counts in the cells of small matrices."""
    shown = counts if counts[:, -1].any() else counts[:, :-1]
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1)
    image = np.dstack([np.broadcast_to(channel, shown.shape) for channel in _BLUE] + [0.8 * shares])
    side = min(2.5 + 0.4 * len(classes), 14)
    size = min(9.0, 72 * (side - 2.5) / len(classes) * 0.8)

    def draw(figure: "Figure") -> None:
        axes: Axes = figure.subplots()
        axes.imshow(image, interpolation="none")
        columns = [*classes, "failed"][: shown.shape[1]]
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
        axes.set_yticks(range(len(classes)), classes, fontsize=size)
        axes.tick_params(length=0)
        axes.set(xlabel="predicted", ylabel="true")
        if len(classes) <= 25:
            for (true, predicted), count in np.ndenumerate(shown):
                if count:
                    axes.text(predicted, true, str(count), ha="center", va="center", fontsize=size)

    return _svg(name="confusion", description="confusion matrix", size=(side, side), draw=draw)


def _svg(name: str, description: str, size: tuple[float, float], draw: Callable[["Figure"], None]) -> str:
    """An inline SVG in the page's text colour; the same drawing gives the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(inked, _INK)
    style |= {"svg.hashsalt": name, "svg.fonttype": "none", "text.parse_math": False, "font.size": 9}
    style |= {"axes.spines.top": name == "confusion", "axes.spines.right": name == "confusion"}
    text = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(
            text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace(_INK, "currentColor")
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)  # nothing refers to groups, and pages hold several drawings
    return drawing.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
