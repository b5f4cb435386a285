"""The contract of extractors, over every registered one."""

import os
from pathlib import Path

import numpy as np
import pytest

from extractors import EXTRACTORS
from extractors.base import Clip, NetworkExtraction, Row
from pipeline.config import one_of, parse
from pipeline.errors import UnusableVideo
from pipeline.preparation.preparers import preparers
from pipeline.rows import Keys
from pipeline.video.decode import read
from tests.support import contracts
from tests.support.contracts import GOLDEN, MEMBERS, Member
from tests.support.equality import same_rows
from tests.support.films import encode
from tests.support.prepared import Given

ENTRIES = ("features", "scores", "start_frames", "times", "ends")
"""Arrays with one item for each entry of a row."""
GOLDEN_TOLERANCE = 2e-3
"""Of the largest value of an array: what other versions of the libraries and other processors may differ by."""


@pytest.fixture(scope="module", params=sorted({*EXTRACTORS, *MEMBERS}))
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Member:
    assert request.param in MEMBERS, f"give {request.param} a line in contracts.MEMBERS"
    return MEMBERS[request.param](tmp_path_factory.mktemp(request.param))


def test_a_configuration_is_its_json(member: Member) -> None:
    table = member.config.model_dump(mode="json")
    assert parse(one_of(EXTRACTORS, "extractor"), table) == member.config
    assert EXTRACTORS[member.config.name] is type(member.config)


def test_rows_are_as_promised(member: Member) -> None:
    rows = member.rows()
    assert len(rows) == member.config.variants
    for row in rows:
        assert row.attributes["frames"] > 0
        assert all(np.isfinite(array).all() for array in row.arrays.values())
        time = {len(row.arrays[name]) for name in ENTRIES if name in row.arrays}
        assert len(time) <= 1
        if "start_frames" in row.arrays:
            starts = row.arrays["start_frames"]
            assert starts.dtype == np.int64
            assert (np.diff(starts) >= 0).all()
            assert starts[0] >= 0
            assert starts[-1] < row.attributes["frames"]
        assert ("times" in row.arrays) == ("ends" in row.arrays) == (member.config.reads == "video")
        if "times" in row.arrays:
            times, ends = row.arrays["times"], row.arrays["ends"]
            assert times.dtype == ends.dtype == np.float64
            assert row.attributes["start_s"] == 0
            assert (times >= 0).all()
            assert (times < ends).all()
            assert ends.max() <= row.attributes["end_s"]
        read_by_models = {name.partition("-")[0] for name in row.arrays} & {"features", "scores"}
        assert member.config.gives == read_by_models
        if "features" in row.arrays:
            assert row.arrays["features"].ndim == 2
            assert row.arrays["features"].dtype in (np.float16, np.float32)


def test_rows_repeat_to_the_last_bit_whatever_came_before(member: Member) -> None:
    built = member.config.build("cpu", member.states)
    clip = member.source
    other = Clip(clip.path, (5, 25))
    upstream = member.config.upstream
    given = [source if upstream is None else contracts.extracted(upstream, source) for source in (clip, other, clip)]
    first, _, again = [list(built(source)) for source in given]
    assert same_rows(first, again)
    opened = member.config.open("cpu", states=member.states)
    assert same_rows(first, list(opened(clip if clip.frames else str(clip.path))))


def test_what_another_process_prepares_gives_the_same_rows_to_the_last_bit(member: Member) -> None:
    extraction = member.config.build("cpu", member.states)
    if not isinstance(extraction, NetworkExtraction):
        return
    upstream, clip = member.config.upstream, member.source
    source = Given(clip if upstream is None else contracts.extracted(upstream, clip))
    videos = [Keys("one", "file", ("one",)), Keys("two", "other", ("two",))]
    with preparers(1) as beside:
        rows = [list(extraction.compute(items)) for _, items in beside.videos(extraction.prepare, source, videos)]
    assert same_rows(rows[0], list(extraction(source.source)))
    assert same_rows(rows[0], rows[1])


def test_a_range_of_frames_is_a_clip_of_its_own(member: Member) -> None:
    row = member.rows(Clip(member.source.path, (5, 25)))[0]
    assert row.attributes["frames"] == 20
    assert max(row.arrays.get("start_frames", [0])) < 20


def test_times_are_those_of_the_file(member: Member, tmp_path: Path) -> None:
    """Of a clip with a gap: frames 15 and on come three seconds late, and so does what is computed from them."""
    if member.config.reads != "video":
        return
    fps, gap_frame, gap_s = 25, 15, 3
    pictures = list(read(member.source.path).frames[:40])
    shown = [number + (gap_s * fps if number >= gap_frame else 0) for number in range(len(pictures))]
    late = encode(tmp_path / "late.mp4", pictures, times=shown)
    for row in member.rows(Clip(late)):
        if "start_frames" in row.arrays:
            starts = row.arrays["start_frames"]
            np.testing.assert_allclose(row.arrays["times"], np.array(shown)[starts] / fps, atol=1e-3)
        assert set(np.round(row.arrays["ends"] * fps).astype(int)) <= {*np.array(shown) + 1, shown[gap_frame]}
        assert row.attributes["end_s"] == pytest.approx((shown[-1] + 1) / fps, abs=1e-3)


MIN_FRAMES = {
    "c3d": 16,
    "clip3d": 12,
    "convnet3d": 9,
    "harris3d": 16,
    "hog3d": 17,
    "hog3d_raw": 17,
    "i3d": 9,
    "i3d of flow": 10,
    "idt": 16,
    "person_boxes": 3,
    "skeleton": 15,
    "tdn of flow": 6,
    "trajectories": 16,
    "tsn of flow": 6,
    "tsn of rgb_diff": 6,
    "tvl1": 2,
}
"""Of clips that give rows. In the golden ones nobody is tracked before, or moves enough; others need one frame."""


@pytest.mark.parametrize("frames", [1, 2, 5, 15])
def test_a_short_clip_gives_what_longer_ones_give_or_fails_with_its_reason(
    request: pytest.FixtureRequest, member: Member, frames: int
) -> None:
    name = request.node.callspec.params["member"]
    clip = Clip(member.source.path, (0, frames))
    if frames >= MIN_FRAMES.get(name, 1):
        rows = member.rows(clip)
        assert len(rows) == member.config.variants
        assert all(row.attributes["frames"] == frames for row in rows)
        return
    with pytest.raises(UnusableVideo, match=rf"\b{frames} frames?\b") as caught:
        member.rows(clip)
    assert caught.value.frames_decoded == frames


def test_bad_files_fail_with_a_reason_and_absent_ones_are_not_the_videos_fault(member: Member, tmp_path: Path) -> None:
    suffix = member.source.path.suffix
    content = member.source.path.read_bytes()
    for name, bad in {"empty": b"", "garbage": os.urandom(999), "truncated": content[: len(content) // 3]}.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(bad)
        with pytest.raises(UnusableVideo) as error:
            member.rows(Clip(path))
        assert error.value.reason
    with pytest.raises(UnusableVideo):
        member.rows(Clip(member.source.path, (0, 10_000)))
    with pytest.raises(FileNotFoundError):
        member.rows(Clip(tmp_path / f"absent{suffix}"))


def test_a_file_is_no_row_and_a_row_no_file(member: Member) -> None:
    config = member.config
    sentence = f"rows of {config.upstream.name}, not a file" if config.upstream else f"a {config.reads} file, not rows"
    with pytest.raises(TypeError, match=f"{config.name} reads {sentence}"):
        config.build("cpu", member.states)(member.source if config.upstream else [Row({})])


def test_what_was_fitted_is_given_in_full_and_nothing_else(member: Member, tmp_path: Path) -> None:
    one, two = {"0": tmp_path / "0"}, {"0": tmp_path / "0", "1": tmp_path / "1"}
    too_few_or_many = [{}] if member.config.serves_all_folds else [{}, two]
    for states in too_few_or_many if member.config.fitted else [one, two]:
        with pytest.raises(ValueError, match=member.config.name):
            member.config.build("cpu", states)


def test_the_golden_file_of_this_version(member: Member) -> None:
    """Fails where numbers change without a new version, and where a new version has no golden file.

    After a bump: ``KINESCOPE_GOLDEN=write pytest tests/test_extractors.py``.
    """
    path = GOLDEN / f"{member.config.name}{member.golden}-v{member.config.version}.npz"
    found = {
        f"{variant}/{name}": array for variant, row in enumerate(member.rows()) for name, array in row.arrays.items()
    }
    if os.environ.get("KINESCOPE_GOLDEN") == "write" and not path.exists():
        np.savez_compressed(path, **found)
    assert path.exists(), f"{path.name} is missing: a new version needs a golden file"
    with np.load(path) as golden:
        assert found.keys() == set(golden.files)
        for name in golden.files:
            if golden[name].dtype == np.uint8:
                continue  # encoded bytes are the encoder's business; test_frames decodes them
            largest = max(float(np.abs(golden[name]).max()), 1e-9)
            np.testing.assert_allclose(found[name], golden[name], rtol=0, atol=GOLDEN_TOLERANCE * largest, err_msg=name)


def test_a_bumped_version_without_a_golden_file_fails(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINESCOPE_GOLDEN", raising=False)
    monkeypatch.setattr(type(member.config), "version", member.config.version + 1)
    with pytest.raises(AssertionError, match="a new version needs a golden file"):
        test_the_golden_file_of_this_version(member)
