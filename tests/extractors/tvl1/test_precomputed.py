"""Flow that lies ready as pictures: the rows of the flow that they were made from, in the field's layouts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extractors import EXTRACTORS
from extractors.base import Clip, Row
from extractors.frames import Frames
from extractors.pictures import picture
from extractors.snippets.config import Backbone
from extractors.tdn.config import TDN
from extractors.tsn.config import TSN
from extractors.tvl1.config import TVL1
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from tests.support import picture_folders
from tests.support.contracts import VIDEO, extracted, squeezenet
from tests.support.equality import same_arrays

FRAMES = 13
SIZE = (80, 60)
JPEG_LEVELS = 0.5
"""Mean error, in levels of 2 · bound / 255 pixels, of flow that was kept as JPEG of quality 95; up to 0.23 measured."""
RAW = Frames(short_side=None, encoding="raw")
PATTERN = "flow_{x,y}_*.png"


def computed(clip: Clip, **fields: Any) -> Row:
    return extracted(TVL1(size_px=SIZE, warps=1, bound_px=4, encoding="raw", **fields), clip)[0]


def taken(clip: Clip, pattern: str = PATTERN, **fields: Any) -> Row:
    table = {"name": "tvl1", "precomputed": pattern, "bound_px": 4, "encoding": "raw", **fields}
    return extracted(parse(TVL1, table), clip)[0]


@pytest.fixture(scope="module")
def row() -> Row:
    return computed(Clip(VIDEO, (0, FRAMES)))


@pytest.fixture
def clip(row: Row, tmp_path: Path) -> Clip:
    """Frames and flow beside each other, without loss, as TSN and denseflow name them."""
    clip = picture_folders.of_video(tmp_path / "run" / "a", Clip(VIDEO, (0, FRAMES)), "img_%05d.png")
    picture_folders.flow(clip.path, row, ("flow_x_%05d.png", "flow_y_%05d.png"))
    return clip


def test_rows_are_those_of_the_clip_from_which_the_pictures_were_made(row: Row, clip: Clip) -> None:
    assert same_arrays(computed(clip).arrays, row.arrays)  # computed anew from the frames
    found = taken(clip)
    assert same_arrays(found.arrays, row.arrays)
    lost = {"quantisation_error_px", "clipped_share"}
    assert {**found.attributes, **{name: row.attributes[name] for name in lost}} == {**row.attributes, "precomputed": 1}


@pytest.mark.parametrize("stride", [2, 5])
def test_a_stride_takes_the_flow_of_every_so_many_frames(stride: int, clip: Clip) -> None:
    whole = computed(Clip(VIDEO, (0, FRAMES)), stride_frames=stride)
    assert same_arrays(taken(clip, stride_frames=stride).arrays, whole.arrays)


@pytest.mark.parametrize("part", [(0, 5), (4, 13), (11, 13)])
def test_a_range_takes_the_flow_within_it(part: tuple[int, int], clip: Clip) -> None:
    expected = computed(Clip(clip.path, part, fps=clip.fps))
    span = part[0] / 25, part[1] / 25
    for some in (Clip(clip.path, part, fps=clip.fps), Clip(clip.path, span_s=span, fps=clip.fps)):
        found = taken(some)
        assert same_arrays(found.arrays, expected.arrays)
        for name in ("fps", "frames", "start_s", "end_s"):
            assert found.attributes[name] == expected.attributes[name]


@pytest.mark.parametrize(
    ("pattern", "names", "first"),
    [
        ("{x,y}_*.png", ("x_%05d.png", "y_%05d.png"), 1),
        ("{x,y}/*.png", ("x/%05d.png", "y/%05d.png"), 0),
        ("{u,v}/frame*.png", ("u/frame%06d.png", "v/frame%06d.png"), 1),
        ("flow/{parent}/{clip}/flow_{x,y}_*.png", ("flow/run/a/flow_x_%d.png", "flow/run/a/flow_y_%d.png"), 8),
        ("../../tvl1/{u,v}/{clip}/frame*.png", ("../../tvl1/u/a/frame%d.png", "../../tvl1/v/a/frame%d.png"), 1),
        ("{ROOT}/flow/{x,y}/{clip}-*.png", ("../../flow/x/a-%d.png", "../../flow/y/a-%d.png"), 1),
    ],
)
def test_layouts_of_the_field(
    pattern: str, names: tuple[str, str], first: int, row: Row, clip: Clip, tmp_path: Path
) -> None:
    for path in clip.path.glob("flow_*"):
        path.unlink()
    picture_folders.flow(clip.path, row, names, first)
    assert same_arrays(taken(clip, pattern.replace("{ROOT}", str(tmp_path))).arrays, row.arrays)


@pytest.mark.parametrize("name", ["a*b", "{parent}", "[a]"])
def test_a_clip_may_have_any_name(name: str, row: Row, clip: Clip, tmp_path: Path) -> None:
    other = Clip(clip.path.rename(clip.path.with_name(name)), fps=clip.fps)
    for path in other.path.glob("flow_*"):
        path.unlink()
    names = tuple(f"../../flow/{component}-{name}-%d-{name}.png" for component in "xy")
    picture_folders.flow(other.path, row, names)  # type: ignore[arg-type]
    assert same_arrays(taken(other, "../../flow/{x,y}-{clip}-*-{clip}.png").arrays, row.arrays)


def test_as_many_as_frames_lead_each_to_its_frame(row: Row, clip: Clip) -> None:
    """TSN's tool keeps the second frame of each pair, so that the first flow comes from a frame that is not there."""
    (clip.path / "img_00001.png").unlink()
    found = taken(clip)
    expected = computed(clip)
    assert same_arrays(found.arrays, expected.arrays)
    assert np.array_equal(found["x"], row["x"][1:])
    assert found.attributes["surplus_flows"] == 1


def test_pictures_keep_their_size_or_are_scaled_and_vectors_stay_as_they_are(row: Row, clip: Clip) -> None:
    assert taken(clip)["x"].shape == (FRAMES - 1, 60, 80)
    scaled = taken(clip, size_px=[40, 30])
    assert scaled["x"].shape == (FRAMES - 1, 30, 40)
    means = row["x"].reshape(-1, 30, 2, 40, 2).mean((2, 4))
    assert np.abs(scaled["x"] - means).max() <= 1


def test_flow_kept_as_jpeg_is_as_it_was_but_for_its_loss(row: Row, tmp_path: Path) -> None:
    """And so are the frames; the flow that is computed from them differs by more, as the frames do."""
    clip = picture_folders.of_video(tmp_path / "a", Clip(VIDEO, (0, FRAMES)))
    picture_folders.flow(clip.path, row)
    found = taken(clip, "flow_{x,y}_*.jpg")
    for name in "xy":
        assert 0 < np.abs(found[name].astype(int) - row[name]).mean() < JPEG_LEVELS
    anew = computed(clip)
    assert np.abs(anew["x"].astype(int) - row["x"]).mean() < 2 * JPEG_LEVELS
    for name in ("start_frames", "times", "ends"):
        assert np.array_equal(found[name], row[name])
        assert np.array_equal(anew[name], row[name])


def test_pictures_are_encoded_again_and_that_costs_little_or_nothing(row: Row, tmp_path: Path) -> None:
    clip = picture_folders.of_video(tmp_path / "a", Clip(VIDEO, (0, FRAMES)))
    picture_folders.flow(clip.path, row)
    once, png, jpeg = (taken(clip, "flow_{x,y}_*.jpg", encoding=encoding) for encoding in ("raw", "png", "jpeg"))
    for name in "xy":
        for number in range(FRAMES - 1):
            assert np.array_equal(picture(png.arrays, name, number), once[name][number])
        again = np.array([picture(jpeg.arrays, name, number) for number in range(FRAMES - 1)])
        moved = np.abs(again.astype(int) - once[name])
        assert 0 < moved.mean() < 0.15
        assert moved.max() <= 2


def test_stored_frames_are_those_of_the_clip(clip: Clip) -> None:
    (found,), (expected,) = extracted(RAW, clip), extracted(RAW, Clip(VIDEO, (0, FRAMES)))
    assert same_arrays(found.arrays, expected.arrays)
    assert found.attributes == expected.attributes


def test_a_flow_stream_of_tsn_reads_them(clip: Clip, tmp_path: Path) -> None:
    network = {"backbone": "squeezenet1_0", "weights": squeezenet(tmp_path, 10)}
    common = {
        "name": "tsn",
        "modality": "flow",
        "snippets": 3,
        "crops": 1,
        "crop": 48,
        "short_side": 60,
        "network": network,
    }
    own = {"size_px": SIZE, "warps": 1, "bound_px": 4, "encoding": "raw"}
    computing = parse(TSN, {**common, "flow": own})
    taking = parse(TSN, {**common, "flow": {"precomputed": PATTERN, "bound_px": 4, "encoding": "raw"}})
    (expected,), (found,) = extracted(computing, Clip(VIDEO, (0, FRAMES))), extracted(taking, clip)
    assert same_arrays(found.arrays, expected.arrays)
    assert found.attributes["precomputed"] == 1
    assert taking.upstream is not None
    assert taking.upstream.flow_pictures == PATTERN


def test_frames_of_tsn_are_those_of_the_clip(clip: Clip, tmp_path: Path) -> None:
    weights = Backbone(backbone="squeezenet1_0", weights=squeezenet(tmp_path))
    config = TSN(snippets=3, crops=1, crop=96, short_side=112, network=weights)
    (expected,), (found,) = extracted(config, Clip(VIDEO, (0, FRAMES))), extracted(config, clip)
    assert same_arrays(found.arrays, expected.arrays)
    lossy = picture_folders.of_video(tmp_path / "lossy", Clip(VIDEO, (0, FRAMES)))
    (near,) = extracted(config, lossy)
    a, b = near["features"].ravel(), expected["features"].ravel()
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (["flow_x_00003.png"], "a/flow_x_00004.png follows a/flow_x_00002.png"),
        (["flow_x_00012.png"], "11 pictures of flow in x and 12 in y; as many are needed"),
        (
            ["flow_x_00012.png", "flow_y_00012.png"],
            "13 frames and 11 pictures of flow in each direction; 12 are needed",
        ),
        (["img_00012.png", "img_00013.png"], "11 frames and 12 pictures of flow in each direction; 10 are needed"),
    ],
)
def test_pictures_that_do_not_fit(change: list[str], fault: str, clip: Clip) -> None:
    for name in change:
        (clip.path / name).unlink()
    with pytest.raises(UnusableVideo, match=fault):
        taken(clip)


@pytest.mark.parametrize(
    ("name", "image", "fault"),
    [
        ("flow_x_00005.png", np.zeros((60, 80, 3), np.uint8) + np.array([0, 99, 0], np.uint8), "5.png has colours"),
        ("flow_x_00005.png", np.zeros((30, 80), np.uint8), "flow_x_00005.png has another size than flow_x_00001.png"),
        ("flow_y_00005.png", np.zeros((60, 80), np.uint16), "flow_y_00005.png has more than 8 bits"),
    ],
)
def test_pictures_that_are_no_quantised_flow(name: str, image: np.ndarray, fault: str, clip: Clip) -> None:
    picture_folders.save(clip.path / name, image)
    with pytest.raises(UnusableVideo, match=fault):
        taken(clip)


def test_y_of_another_size_than_x(clip: Clip) -> None:
    for path in clip.path.glob("flow_y_*"):
        picture_folders.save(path, np.zeros((30, 40), np.uint8))
    with pytest.raises(UnusableVideo, match="pictures of flow in y are of another size than those in x"):
        taken(clip)


def test_clips_without_any(clip: Clip, tmp_path: Path) -> None:
    with pytest.raises(UnusableVideo, match=r"no picture flow_x_\*.jpg in"):
        taken(clip, "flow_{x,y}_*.jpg")
    with pytest.raises(UnusableVideo, match="u: No such file or directory; pictures of flow"):
        taken(clip, "{u,v}/*.jpg")
    with pytest.raises(UnusableVideo, match="a video file; precomputed flow belongs to folders of pictures"):
        taken(Clip(VIDEO))
    with pytest.raises(InputError, match="fps is needed"):
        taken(Clip(clip.path))
    for fps in (-25.0, 0.0, float("nan")):
        with pytest.raises(InputError, match="the number of pictures shown in a second is needed, such as 25"):
            taken(Clip(clip.path, fps=fps))
    with pytest.raises(UnusableVideo, match="there are 13 frames, and the range 3-14 ends beyond them"):
        taken(Clip(clip.path, (3, 14), fps=25.0))
    with pytest.raises(UnusableVideo, match="1 frame; optical flow needs 2"):
        taken(Clip(clip.path, (3, 4), fps=25.0))
    with pytest.raises(UnusableVideo, match="no frame in it begins between 2 and 3 s"):
        taken(Clip(clip.path, span_s=(2.0, 3.0), fps=25.0))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"precomputed": PATTERN}, "state bound_px, the bound that the pictures were quantised with"),
        ({"precomputed": "flow_x_*.jpg", "bound_px": 20}, "both components must be named once, such as in flow_{x,y}"),
        ({"precomputed": "{x,y}/{u,v}_*.jpg", "bound_px": 20}, "both components must be named once"),
        ({"precomputed": "{x,y}_1.jpg", "bound_px": 20}, r"one \* must stand for the number, in the last name"),
        ({"precomputed": "*/{x,y}_*.jpg", "bound_px": 20}, r"one \* must stand for the number"),
        ({"precomputed": "{x,y}/*/a.jpg", "bound_px": 20}, r"one \* must stand for the number"),
        ({"precomputed": "{video}/{x,y}_*.jpg", "bound_px": 20}, "only {clip} and {parent} may stand in braces"),
        ({"precomputed": "~nobody-at-all/{x,y}_*.jpg", "bound_px": 20}, "home directory"),
        ({"precomputed": PATTERN, "bound_px": 20, "tau": 0.1, "semantics": "opencv-cuda"}, "leave out tau, semantics"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse(TVL1, {"name": "tvl1", **fields})


def test_fingerprints_know_that_flow_lay_ready_but_not_where() -> None:
    def significant(**fields: Any) -> dict[str, Any]:
        return dict(parse(TVL1, {"name": "tvl1", **fields}).significant(lambda name: name))

    ready = significant(precomputed=PATTERN, bound_px=20)
    assert ready == significant(precomputed="/elsewhere/{u,v}/{clip}/*.jpg", bound_px=20)
    assert ready["precomputed"] is True
    assert "tau" not in ready
    assert "semantics" not in ready
    assert ready != significant(precomputed=PATTERN, bound_px=15)
    assert "precomputed" not in significant()
    assert significant() == significant(bound_px=20)


def test_only_flow_that_is_computed_uses_the_gpu() -> None:
    assert TVL1().uses_gpu
    assert not parse(TVL1, {"name": "tvl1", "precomputed": PATTERN, "bound_px": 20}).uses_gpu


@pytest.mark.parametrize("fields", [{}, {"precomputed": PATTERN, "bound_px": 15, "size_px": [40, 30]}])
def test_a_configuration_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    config = parse(TVL1, {"name": "tvl1", **fields})
    written = json.loads(config.canonical())
    assert parse(EXTRACTORS["tvl1"], written) == config
    assert ("precomputed" in written) == bool(fields)  # recipes of before are written as they were


def test_tdn_takes_it_too(tmp_path: Path) -> None:
    start = {"backbone": "squeezenet1_0", "weights": "w", "fit": {"epochs": 1}}
    flow = {"precomputed": PATTERN, "bound_px": 20}
    table = {"modality": "flow", "flow": flow, "crop": 48, "short_side": 60}
    network = {**start, "joint": {"epochs": 1}, "layers": "fire8", "fit": {"epochs": 1, "segments": 2}}
    tsn = {"name": "tsn", **table, "crops": 1, "network": start}
    config = parse(TDN, {"name": "tdn", **table, "network": {**network, "start": tsn}})
    assert config.flow is not None
    assert config.flow.size_px is None


@pytest.mark.parametrize(
    ("name", "regular"), [("kth/person01_boxing_d1_uncomp.avi", True), ("clips/v_ApplyEyeMakeup_g01_c01.avi", False)]
)
def test_real_clips(name: str, regular: bool, shared: Path, tmp_path: Path) -> None:
    """As PNG to the last bit; as JPEG, frames by 2 levels on average, and the flow that was computed before by 0.5.

    Of the second clip a frame is shown twice as long as the others, which pictures do not tell.
    """
    real = Clip(shared / name, (0, 8))
    fields = {"size_px": (160, 120), "warps": 2, "encoding": "raw", "bound_px": 20}
    (expected,), (frames,) = extracted(TVL1(**fields), real), extracted(RAW, real)
    exact = picture_folders.of_video(tmp_path / "exact", real, "img_%05d.png")
    (kept,), (anew,) = extracted(RAW, exact), extracted(TVL1(**fields), exact)
    assert np.array_equal(kept["frames"], frames["frames"])
    assert np.array_equal(anew["x"], expected["x"])
    assert np.array_equal(anew["y"], expected["y"])
    for name in ("times", "ends"):
        assert np.allclose(anew[name], expected[name], atol=1e-3) == regular
    lossy = picture_folders.of_video(tmp_path / "lossy", real)
    picture_folders.flow(lossy.path, expected)
    (near,), (ready,) = extracted(RAW, lossy), [taken(lossy, "flow_{x,y}_*.jpg", bound_px=20)]
    assert np.abs(near["frames"].astype(int) - frames["frames"]).mean() < 2
    for component in "xy":
        assert np.abs(ready[component].astype(int) - expected[component]).mean() < JPEG_LEVELS
