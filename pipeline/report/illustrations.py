"""Pictures of a report, apart from its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.report.activation_maps import Activations
from pipeline.report.example_videos import Example
from pipeline.report.feature_maps import FirstMaps
from pipeline.report.traces import TracedClip


@dataclass(frozen=True, slots=True)
class Illustrations:
    """Pictures of an experiment's first run, as HTML elements that go into the page as they are.

    Parameters
    ----------
    examples
        Test videos that the report shows, by who recognises them.
    pictures
        A few elements in the order of time, by the id of an example; none of a video that cannot be shown.
    clips
        Test videos with what each stream's network says of them step by step.
    maps
        First feature maps of each 3D-ConvNet, by the stream's name.
    activations
        Class activation maps of each temporal difference network, by the stream's name.
    """

    examples: tuple[Example, ...] = ()
    pictures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    clips: tuple[TracedClip, ...] = ()
    maps: Mapping[str, tuple[FirstMaps, ...]] = field(default_factory=dict)
    activations: Mapping[str, tuple[Activations, ...]] = field(default_factory=dict)
