"""What the report says of videos that are otherwise than usual."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from extractors.base import Clip, Extractor
from extractors.frames import Frames
from extractors.skeleton.config import Skeleton
from pipeline.rows import Keys
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from tasks.reporting.footage import remarks
from tests.support.films import encode, numbered
from tests.support.skeletons import as_ntu, figure, ntu_text, one_body


def stage(folder: Path, extractor: Extractor, clips: dict[str, Path]) -> SimpleNamespace:
    """A finished extraction, as far as the report reads it."""
    origin = {"stage": "Extract", "fingerprint": "0123456789ab"}
    folder = folder / f"{extractor.name}-0123456789ab"
    journal, shard, index = Journal(folder / "journal"), folder / "0-of-1-0123456789ab.h5", folder / "index.h5"
    keys = [Keys(id, "digest", (id,)) for id in clips]
    for key, path in zip(keys, clips.values(), strict=True):
        journal.write(key, list(extractor.build("cpu")(Clip(path))))
    seal(shard, keys, {key.name: journal.path(key) for key in keys}, origin)
    write_index(index, [shard], origin)
    return SimpleNamespace(extractor=extractor, path=lambda: index)


def test_each_kind_is_counted_once_a_video(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", numbered(3))
    wide = encode(tmp_path / "wide.mp4", numbered(3), sample_aspect_ratio=Fraction(2))
    clips = {"plain": plain, "wide": wide, "wide-too": wide}
    stages = [stage(tmp_path, Frames(short_side=side), clips) for side in (32, 48)]
    assert list(remarks(stages)) == [
        "2 of 3 videos: samples that are not square, scaled in width (sample_aspect): wide, wide-too"
    ]
    assert list(remarks(stages[:1])) == list(remarks(stages))
    assert list(remarks([stage(tmp_path / "other", Frames(short_side=32), {"plain": plain})])) == []


def test_what_skeleton_files_note_is_said_as_well(tmp_path: Path) -> None:
    joints = as_ntu(figure())
    texts = {
        "alone": one_body(joints),
        "two": ntu_text([{"7": one, "8": one + 1} if number else {"7": one} for number, one in enumerate(joints)]),
        "lost": one_body(np.where(np.arange(len(joints))[:, None, None] == 3, 0, joints)),
    }
    clips = {name: tmp_path / f"{name}.skeleton" for name in texts}
    for name, path in clips.items():
        path.write_text(texts[name])
    assert list(remarks([stage(tmp_path, Skeleton(layout="kinect_v2"), clips)])) == [
        "1 of 3 videos: several bodies, of which the one that is tracked in most frames is taken (bodies): two",
        "1 of 3 videos: frames without a body, interpolated between others (interpolated_frames): lost",
    ]


def test_skeletons_have_no_footage(tmp_path: Path) -> None:
    assert list(remarks([SimpleNamespace(extractor=Skeleton(), path=lambda: tmp_path / "index.h5")])) == []
