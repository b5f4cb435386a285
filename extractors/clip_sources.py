"""Hands an extractor the clip of each video, and makes sure that its files stay as they were digested."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from extractors.base import Clip
from pipeline.files.digests import Digests
from pipeline.video.film import Films


@dataclass(frozen=True)
class ClipSources:
    """Given a video's id, a context of its clip, which raises where what was read is not what was digested.

    Clips of one file that are asked for one after another are of one film, so that it is decoded once.

    Parameters
    ----------
    clips : mapping of str to Clip
        Clips by video id.
    files : Digests
        Those of the clips' files.
    flow : Digests, optional
        Those of the pictures of flow that lie ready for them, where the extractor reads them.
    """

    clips: Mapping[str, Clip]
    files: Digests
    flow: Digests | None = None
    _films: Films = field(default_factory=Films, init=False, compare=False)

    @contextmanager
    def __call__(self, video: str) -> Iterator[Clip]:
        clip = self.clips[video]
        flow = nullcontext() if self.flow is None else self.flow.unchanged(clip.path)
        with self.files.unchanged(clip.path), flow:
            yield clip if clip.span_s is None else replace(clip, film=self._films.of(clip.path, clip.fps))
