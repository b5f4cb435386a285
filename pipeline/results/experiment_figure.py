"""One figure of an experiment beside the one that its paper reports."""

from dataclasses import dataclass

from pipeline.scoring.metrics import Summary


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """What came out of a stream, or of the fusion, in percent."""

    name: str
    metric: str
    measured: Summary
    reported: float | None
