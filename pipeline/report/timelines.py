"""Draws what stands under the strip of a clip's frames, on the same axis of time."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.report import plots
from pipeline.report.traces import TracedClip


class Timeline(NamedTuple):
    """One clip with its drawings: ``motions`` by the name of the dRNN; "" where no network has a trace of the clip."""

    clip: TracedClip
    motions: dict[str, str]
    probabilities: str


def drawn(clips: Sequence[TracedClip], networks: Sequence[str]) -> list[Timeline]:
    """Draw each clip; ``networks`` are the names of all, in the order of their styles."""
    return [_drawn(f"clip-{place}", clip, networks) for place, clip in enumerate(clips)]


def _drawn(name: str, clip: TracedClip, networks: Sequence[str]) -> Timeline:
    moving = [network for network in networks if network in clip.traces and clip.traces[network].norms is not None]
    motions = {network: plots.motion(f"{name}-motion-{place}", clip, network) for place, network in enumerate(moving)}
    probabilities = plots.probabilities(f"{name}-probabilities", clip, networks) if clip.traces else ""
    return Timeline(clip, motions, probabilities)
