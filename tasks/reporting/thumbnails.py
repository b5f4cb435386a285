"""Draws the few videos that a report shows, from the frames store where there is one, else from the files."""

from collections.abc import Iterable
from functools import partial

from data.base import Dataset, Video
from extractors.base import Clip, Extractor
from extractors.frames import Frames
from extractors.skeleton.config import Skeleton
from pipeline.errors import InputError
from pipeline.report import thumbnails
from pipeline.report.thumbnails import CARD, Sampling
from tasks.experiment import AnyStream
from tasks.features import extract
from tasks.index import library
from tasks.rows import videos_by_id


def pictures(
    dataset: Dataset, ids: Iterable[str], source: Extractor, sampling: Sampling = CARD
) -> dict[str, tuple[str, ...]]:
    """Draw HTML elements by video id; a video that cannot be shown has none, which is no reason to fail.

    source: what reads its files, which says which of them is opened, and how a skeleton file is read.
    """
    videos = videos_by_id(library(dataset))
    return {id: _first(dataset, videos[id], source, sampling) for id in ids}


def clearest(streams: Iterable[AnyStream]) -> Extractor:
    """Choose the extractor whose files show best what the streams see: the first that reads videos, else skeletons."""
    sources = [_source(each.extractor) for stream in streams for each in stream.inputs]
    return next((source for source in sources if source.reads == "video"), sources[0])


def _source(extractor: Extractor) -> Extractor:
    """The extractor at the beginning, which reads files."""
    return extractor if extractor.upstream is None else _source(extractor.upstream)


def _first(dataset: Dataset, video: Video, source: Extractor, sampling: Sampling) -> tuple[str, ...]:
    for draw in (_stored, partial(_decoded, source=source)):
        try:
            if found := draw(dataset, video, sampling):
                return found
        except (InputError, OSError, ValueError):
            continue
    return ()


def _stored(dataset: Dataset, video: Video, sampling: Sampling) -> tuple[str, ...]:
    """Of the frames store, as ``Decode`` makes it; nothing where that is not there."""
    if "video" not in video.files:
        return ()
    path = extract(dataset, Frames(), None).shard(library(dataset).shard(video)).path()
    if not path.exists():
        return ()
    from extractors.pictures import picture
    from pipeline.store import Store

    store = Store(path)
    if video.id not in store.ids():
        return ()
    arrays = store.read(video.id).arrays
    chosen = sampling.places(len(arrays["start_frames"]))
    return thumbnails.of_frames([picture(arrays, "frames", place) for place in chosen])


def _decoded(dataset: Dataset, video: Video, sampling: Sampling, source: Extractor) -> tuple[str, ...]:
    path = video.files[source.reads]
    with library(dataset).digests.unchanged(path):
        if not isinstance(source, Skeleton):
            return thumbnails.of_clip(path, video.frames, sampling, video.fps)
        from extractors.skeleton.body import BONES, FEET, HEAD

        joints, _ = source.read(Clip(path, video.frames))
    if (joints[:, HEAD, 1] < joints[:, FEET, 1].mean(axis=1)).mean() > 0.5:  # screen coordinates: y downwards
        joints = joints * (1, -1, 1)
    return thumbnails.of_skeleton(joints, BONES, HEAD, sampling)
