"""Results made up for reports, with names that no page may believe."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.report.example_videos import choose
from pipeline.report.experiment_page import write
from pipeline.report.feature_maps import FirstMaps
from pipeline.report.feature_maps import pictures as first_maps
from pipeline.report.illustrations import Illustrations
from pipeline.report.traces import Trace, TracedClip
from pipeline.results.result import Explained, ExtractionTime, ReportedStream, Result, Run
from pipeline.scoring.fusion_config import Fusion
from pipeline.scoring.late_fusion import fuse
from pipeline.scoring.scores import Scores
from pipeline.training.curves import Curves

HOSTILE = '<script>alert("x")</script>&amp;$_{2'


FILES = {"report.html", "metrics.json", "predictions.csv", "classes.csv", "folds.json", "table.txt"}


def classes_of(count: int) -> tuple[str, ...]:
    return (HOSTILE, "$x$ & y", *(f"class {number}" for number in range(2, count)))


def make(
    classes: int = 3, streams: int = 2, runs: int = 2, failed: Sequence[str] = (), several: bool = False, **more: Any
) -> Result:
    rng = np.random.default_rng(0)
    names = classes_of(classes)
    ids = [f"{HOSTILE}/{number}" for number in range(3 * classes)]
    labels: dict[str, tuple[int, ...]] = {id: (number % classes,) for number, id in enumerate(ids)}
    if several:
        labels = {id: (first, (first + 1) % classes) for id, (first,) in labels.items()}
    made = []
    for number in range(runs):
        scored = [id for id in ids if id not in failed]
        values = [rng.normal(size=(len(scored), classes)) for _ in range(streams)]
        for array in values:
            array[np.arange(len(scored)), [labels[id][0] for id in scored]] += 1.5
        scores = tuple(Scores(tuple(scored), array, "logits", names, tuple(failed)) for array in values)
        curves = Curves((1.5, 0.5, 0.2), (0.3, 0.6, 0.9), (0.1, 0.1, 0.01))
        fused = fuse(scores, Fusion()) if streams > 1 else None
        made.append(Run(f"split {number}", 7 + number, scores, fused, (curves,) * (streams - 1) + (None,)))
    return Result(
        explained=(Explained(HOSTILE, HOSTILE, 3, 0.987654),),
        times=(ExtractionTime(HOSTILE, 12, 10.0, 6.0, 3.0, 0.5),),
        title=f"Title {HOSTILE}",
        streams=tuple(ReportedStream(f"stream {HOSTILE} {number}") for number in range(streams)),
        runs=tuple(made),
        labels=labels,
        **{"reported": 92.5, "table": "Some table 4", **more},
    )


def write_illustrated(result: Result, folder: Path, pictures: Mapping[str, tuple[str, ...]] | None = None) -> None:
    """Write a report with a traced clip of all streams, one of none, and feature maps."""
    rng = np.random.default_rng(1)
    trace = Trace(np.arange(4), rng.uniform(size=4), rng.uniform(size=(4, 3)))
    (lost, *_), name = result.labels, result.classes[0]
    shown = TracedClip(lost, name, 5, 25.0, (), {stream.name: trace for stream in result.streams})
    maps = FirstMaps(lost, name, 4, first_maps(np.zeros((54, 34)), np.ones((7, 48, 28))))
    clips = (shown, TracedClip(f"{HOSTILE}/1", result.classes[1]))
    write(result, Illustrations(tuple(choose(result)), pictures or {}, clips, {HOSTILE: (maps,)}), folder)


PROVENANCE = {
    "stage": "evaluate",
    "fingerprint": "0123456789ab",
    "configuration": {"rule": "product", "note": HOSTILE, "weights": None, "empty": []},
    "upstream": [{"stage": "train", "fingerprint": "ba9876543210", "versions": {"torch": "2.13.0"}}],
    "inputs": {f"{HOSTILE}.avi": "d1g3st"},
}


def voices(*values: Sequence[Sequence[float]]) -> Result:
    """One run of streams with these probabilities (video, class) of videos whose class is the first, late product."""
    classes = tuple("xyzuvw"[: len(values[0][0])])
    ids = tuple("abcdef"[: len(values[0])])
    scores = tuple(Scores(ids, np.array(each), "probabilities", classes) for each in values)
    run = Run("f", 0, scores, fuse(scores, Fusion()), (None,) * len(scores))
    names = tuple(ReportedStream(f"stream {number}") for number in range(len(scores)))
    return Result("t", names, (run,), {id: (0,) for id in ids})
