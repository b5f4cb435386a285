"""Holds one figure of an experiment beside the one that its paper reports."""

from dataclasses import dataclass

from pipeline.scoring.metrics import Summary


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """Measured figure of a stream, or of the fusion, in percent, and the reported one."""

    name: str
    metric: str
    measured: Summary
    reported: float | None
