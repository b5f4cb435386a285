"""Layouts of skeleton files: the same body in any of them gives the same features, and no other layout reads it."""

import re
import tomllib

import numpy as np
import pytest

from extractors.skeleton.body import BONES, NAMES, bone_lengths
from extractors.skeleton.config import Skeleton
from extractors.skeleton.file import read
from extractors.skeleton.layouts import KINECT_V2, LAYOUTS, UTKINECT
from extractors.skeleton.plausibility import MIN_ELASTICITY, _elasticity
from pipeline.config import parse
from pipeline.errors import InputError, UnusableVideo
from tests.support.paths import ROOT
from tests.support.skeletons import as_ntu, as_sdk, extract, figure, one_body, text, utkinect_text

SDK_PLACES = {name: 1 + int(np.flatnonzero(as_sdk(np.arange(20).reshape(1, 20, 1))[0, :, 0] == number)[0])
              for number, name in enumerate(NAMES)}  # fmt: skip
"""Place of each joint in the SDK's order, counted from 1."""


def plain(points, confidence=True):
    """Lines of x y z, and the confidence."""
    return text(points) if confidence else text(points).replace(" 1.0\n", "\n")


def table(points, separator=",", heading="time,x,y\n"):
    """A table of a frame a line, (time, point, 3), after its time."""
    rows = (separator.join(map(repr, [number / 30, *frame.ravel().tolist()])) for number, frame in enumerate(points))
    return heading + "\n".join(rows) + "\n"


COLUMNS = {name: 2 + 3 * (place - 1) for name, place in SDK_PLACES.items()}
"""Columns of x in such a table of the SDK's joints."""
FORMS = {
    "kinect_v1": ("kinect_v1", text),
    "kinect_v2": ("kinect_v2", lambda joints: plain(as_ntu(joints))),
    "kinect_v2 without confidence": ("kinect_v2", lambda joints: plain(as_ntu(joints), confidence=False)),
    ".skeleton": ("kinect_v2", lambda joints: one_body(as_ntu(joints))),
    "utkinect": ("utkinect", lambda joints: utkinect_text(as_sdk(joints))),
    "lines": ({"lines": 20, "joints": SDK_PLACES}, lambda joints: plain(as_sdk(joints), confidence=False)),
    "columns": ({"joints": COLUMNS, "header_lines": 1}, lambda joints: table(as_sdk(joints))),
    "semicolons": ({"joints": COLUMNS}, lambda joints: table(as_sdk(joints), separator="; ", heading="")),
}


def layout_of(form):
    return parse(Skeleton, {"layout": FORMS[form][0]}).layout


@pytest.mark.parametrize("form", FORMS)
def test_the_same_body_has_the_same_features_in_any_layout(clip, form):
    joints = figure()
    (expected,) = extract(clip(joints))
    (row,) = extract(clip(FORMS[form][1](joints)), layout=layout_of(form))
    np.testing.assert_array_equal(row.arrays["features"], expected.arrays["features"])
    np.testing.assert_array_equal(row.arrays["start_frames"], expected.arrays["start_frames"])


@pytest.mark.parametrize("form", [".skeleton", "kinect_v2", "utkinect"])
def test_bones_are_those_of_a_person(clip, form):
    source = clip(FORMS[form][1](figure()))
    joints, _ = Skeleton(layout=layout_of(form)).read(source)
    lengths = bone_lengths(joints)
    assert lengths.std(axis=0).max() < 1e-3, "bones keep their lengths"
    mean = {frozenset((NAMES[a], NAMES[b])): length for (a, b), length in zip(BONES, lengths.mean(axis=0), strict=True)}
    for bone, length in mean.items():
        other = frozenset(name.replace("left", "?").replace("right", "left").replace("?", "right") for name in bone)
        assert length == pytest.approx(mean[other], rel=0.02), "as long on the left as on the right"
    assert 0.3 < mean[frozenset(("left_hip", "left_knee"))] < 0.6, "a thigh, in metres"
    assert 0.2 < mean[frozenset(("left_shoulder", "left_elbow"))] < 0.4
    heights = dict(zip(NAMES, joints[:, :, 1].mean(axis=0), strict=True))
    order = ("left_foot", "left_ankle", "left_knee", "hip_centre", "spine", "neck", "head")
    assert [heights[name] for name in order] == sorted(heights[name] for name in order)


@pytest.mark.parametrize("form", FORMS)
def test_a_joint_that_moves_is_the_one_that_was_written(clip, form):
    joints = figure()
    for number, name in enumerate(NAMES):
        moved = joints.copy()
        moved[40:, number] += (0.05, 0, 0)
        found, _ = Skeleton(layout=layout_of(form)).read(clip(FORMS[form][1](moved)))
        np.testing.assert_array_equal(found, moved, err_msg=name)


def test_sides_are_the_persons_own_in_msr_action3d(shared):
    """Its actors waved the right arm and kicked with the right leg where one is enough."""
    for action, right in ((1, "right_hand"), (2, "right_hand"), (15, "right_ankle")):
        files = sorted((shared / "msr-action3d").glob(f"a{action:02d}_s0[123]_*_skeleton3D.txt"))
        for file in files:
            joints, _ = read(file)
            paths = np.linalg.norm(np.diff(joints, axis=0), axis=2).sum(axis=0)
            left = right.replace("right", "left")
            assert paths[NAMES.index(right)] > paths[NAMES.index(left)], file.name


def test_frames_that_are_zero_are_interpolated_and_counted(clip):
    joints = figure()
    holes = joints.copy()
    holes[[10, 11, 30]] = 0
    for form in ("kinect_v2", "lines", ".skeleton", "utkinect"):
        content = FORMS[form][1](holes)
        if form in (".skeleton", "kinect_v2"):
            points = as_ntu(holes)
            points[[10, 11, 30]] = 0
            content = one_body(points) if form == ".skeleton" else plain(points)
        (row,) = extract(clip(content), layout=layout_of(form), normalise=False)
        assert row.attributes["interpolated_frames"] == 3
        positions = row.arrays["features"][:, :60].reshape(-1, 20, 3)
        np.testing.assert_allclose(positions[30], (joints[29] + joints[31]) / 2, atol=1e-6)
    (row,) = extract(clip(holes))
    assert row.attributes == {"frames": len(joints)}, "rows of before stay as they are"


def undetected(joints, share, rng=None):
    """Joints of which a share of all places is at 0, 0, 0, as estimators write those that they do not see."""
    rng = rng or np.random.default_rng(0)
    return np.where(rng.random((len(joints), 20, 1)) < share, 0, joints)


@pytest.mark.parametrize("form", ["lines", "columns", "semicolons", "kinect_v2", ".skeleton", "utkinect"])
def test_a_joint_at_the_origin_was_not_detected_and_lies_on_the_line_between_others(clip, form):
    joints = figure()
    joints[10:14, 3] = joints[9, 3] + np.arange(1, 5)[:, None] / 5 * (joints[14, 3] - joints[9, 3])  # the spine
    joints[-2:, 11] = joints[-3, 11]  # a hand
    holes = joints.copy()
    holes[10:14, 3] = holes[-2:, 11] = 0
    points = FORMS[form][1](holes)
    if form in ("kinect_v2", ".skeleton"):
        places = as_ntu(joints)
        places[10:14, 1] = places[-2:, 7] = 0
        points = plain(places) if form == "kinect_v2" else one_body(places)
    found, notes = Skeleton(layout=layout_of(form)).read(clip(points))
    np.testing.assert_allclose(found, joints, atol=1e-12)
    kept = holes.any(axis=2)
    np.testing.assert_array_equal(found[kept], joints[kept])
    assert notes == {"interpolated_joints": 6}


def test_the_mean_of_several_points_is_that_of_those_interpolated(clip):
    joints = figure()
    places = {**SDK_PLACES, "neck": [SDK_PLACES["left_shoulder"], SDK_PLACES["right_shoulder"]]}
    config = parse(Skeleton, {"layout": {"lines": 20, "joints": places}})
    holes = joints.copy()
    holes[20, NAMES.index("left_shoulder")] = 0
    found, notes = config.read(clip(plain(as_sdk(holes))))
    shoulders = found[:, [NAMES.index("left_shoulder"), NAMES.index("right_shoulder")]]
    np.testing.assert_allclose(found[:, NAMES.index("neck")], shoulders.mean(axis=1))
    assert notes == {"interpolated_joints": 2}, "the shoulder, and the neck of which it is a part"


def test_flat_bodies_of_an_estimator_that_misses_joints_are_read(clip):
    flat = figure("boxing")[..., :2] * 300 + 400
    columns = {name: 1 + 3 * (place - 1) for name, place in SDK_PLACES.items()}
    config = parse(Skeleton, {"layout": {"dimensions": 2, "joints": columns}})
    holes = undetected(flat, 0.1)
    scored = np.concatenate([as_sdk(holes), as_sdk(holes)[..., :1] > 0], axis=2)
    found, notes = config.read(clip("\n".join(" ".join(map(repr, frame.ravel().tolist())) for frame in scored)))
    assert notes == {"interpolated_joints": int((~holes.any(axis=2)).sum())}
    np.testing.assert_array_equal(found[..., :2][holes.any(axis=2)], flat[holes.any(axis=2)])
    assert abs(found[..., :2] - flat).max() < 60, "pixels: no joint leaps to the corner"


def test_a_joint_that_was_never_detected_is_named(clip):
    joints = figure()
    joints[:, [0, 9]] = 0
    for form in ("lines", "columns", "utkinect"):
        with pytest.raises(UnusableVideo, match="left_shoulder, left_wrist are zero in all 83 frames: never detected"):
            Skeleton(layout=layout_of(form)).read(clip(FORMS[form][1](joints)))
    late = figure()
    late[:30, 9] = 0
    with pytest.raises(UnusableVideo, match="left_wrist is zero in all 20 frames") as caught:
        Skeleton(layout=layout_of("lines")).read(clip(FORMS["lines"][1](late), (10, 30)))
    assert caught.value.frames_decoded == 20


def test_single_joints_at_the_origin_stay_in_kinect_v1(clip):
    joints = figure()
    joints[10, 4] = 0
    found, notes = read(clip(joints).path)
    np.testing.assert_array_equal(found, joints)
    assert notes == {}


def test_frames_are_counted_by_the_joints_that_a_layout_reads(clip):
    """Thumbs, tips of hands and the upper neck are none of the 20 joints."""
    points = as_ntu(figure())
    others = [2, 21, 22, 23, 24]
    points[[10, 11, 30]] = np.where(np.isin(np.arange(25), others)[:, None], points[[10, 11, 30]], 0)
    for content in (plain(points), one_body(points)):
        found, notes = Skeleton(layout="kinect_v2").read(clip(content))
        assert notes == {"interpolated_frames": 3}
        np.testing.assert_allclose(found[30], (found[29] + found[31]) / 2)
    still = as_ntu(figure()[:1].repeat(40, axis=0))
    still[::2] = np.where(np.isin(np.arange(25), others)[:, None], still[::2], 0)
    assert Skeleton(layout="kinect_v2").read(clip(plain(still))).notes == {"interpolated_frames": 20}


# What is refused


@pytest.mark.parametrize(
    ("content", "layout", "reason"),
    [
        ("kinect_v1", "kinect_v2", "83 frames of 20 joints; 25 joints are needed; layout = 'kinect_v1' reads 20"),
        ("kinect_v2", "kinect_v1", "83 frames of 25 joints; 20 joints are needed; layout = 'kinect_v2' reads 25"),
        ("kinect_v2", "lines", "83 frames of 25 joints; 20 joints are needed; layout = 'kinect_v2' reads 25"),
        (".skeleton", "kinect_v1", r"\.skeleton files do; layout = 'kinect_v2' reads them"),
        (".skeleton", "utkinect", r"\.skeleton files do; layout = 'kinect_v2' reads them"),
        ("utkinect", "kinect_v1", "line 1: 61 columns; x y z confidence are needed; layout = 'utkinect' reads such"),
        ("utkinect", "kinect_v2", "line 1: 61 columns; .*; layout = 'utkinect' reads such lines"),
        ("kinect_v1", "utkinect", "line 1: 4 columns; .*; layout = 'kinect_v1' or 'kinect_v2' reads such lines"),
        ("columns", "kinect_v1", "line 1: 1 columns"),
        ("columns", "semicolons", "line 1: 3 columns; the layout reads column 61; header_lines says how many lines"),
        ("kinect_v1", "columns", "line 2: 4 columns; the layout reads column 61"),
        ("lines", "kinect_v1", "line 1: 3 columns; x y z confidence are needed; layout = 'kinect_v2' reads such lines"),
        ("semicolons", "kinect_v2", "line 1: 61 columns; .*; a layout of your own, a table with lines and joints"),
        ("utkinect", "lines", "line 1: 61 columns; a line holds a whole frame: leave lines out"),
        ("semicolons", "lines", "line 1: 61 columns; a line holds a whole frame: leave lines out"),
    ],
)  # fmt: skip
def test_a_file_of_another_layout_is_refused_with_a_hint(clip, content, layout, reason):
    with pytest.raises(UnusableVideo, match=reason):
        extract(clip(FORMS[content][1](figure())), layout=layout_of(layout))


def test_lines_of_no_named_layout_lead_to_a_table(clip):
    content = text(figure()).replace(" 1.0\n", " 1.0 7\n")
    with pytest.raises(UnusableVideo, match=r"line 1: 5 columns; .* needed; a layout of your own, a table"):
        extract(clip(content))


def test_only_the_first_line_tells_of_another_layout(clip):
    lines = text(figure()).splitlines(keepends=True)
    lines[40] = "0.1 0.2 0.3\n"
    with pytest.raises(UnusableVideo, match=r"line 41: 3 columns; x y z confidence are needed$"):
        extract(clip("".join(lines)))


def test_a_heading_of_two_numbers_is_no_skeleton_file_of_bodies(clip):
    joints = figure()
    config = parse(Skeleton, {"layout": {**FORMS["lines"][0], "header_lines": 2}})
    np.testing.assert_array_equal(config.read(clip("83\n20\n" + FORMS["lines"][1](joints))).joints, joints)


@pytest.mark.parametrize("form", FORMS)
def test_a_byte_order_mark_is_no_number(clip, form):
    joints = figure()
    content = b"\xef\xbb\xbf" + FORMS[form][1](joints).encode()
    np.testing.assert_array_equal(Skeleton(layout=layout_of(form)).read(clip(content)).joints, joints)


@pytest.mark.parametrize("action", ["walking", "boxing", "handwaving"])
def test_joints_in_another_order_are_refused(clip, action):
    joints = figure(action)
    sdk = (
        "over time bones change less in the order of the Kinect SDK .* than in that of kinect_v1: a layout of your own"
    )
    with pytest.raises(UnusableVideo, match=sdk):
        extract(clip(as_sdk(joints)))
    with pytest.raises(UnusableVideo, match=r"less in the order of MSR Action3D .* than in that of utkinect"):
        extract(clip(utkinect_text(joints)), layout="utkinect")
    rng = np.random.default_rng(0)
    shuffled = as_ntu(joints)[:, rng.permutation(25)]
    for content in (plain(shuffled), one_body(shuffled)):
        with pytest.raises(UnusableVideo, match=r"bones change \d+ times as much .* not in the order of kinect_v2"):
            extract(clip(content), layout="kinect_v2")


def test_errors_of_a_tracker_are_no_other_order(clip):
    joints = figure("boxing")
    rng = np.random.default_rng(0)
    errors = {
        "noise": rng.normal(scale=0.03, size=joints.shape),
        "hands and feet": np.isin(np.arange(20), [11, 12, 17, 18])[:, None] * rng.normal(size=joints.shape) * 0.15,
        "leaps": (rng.random((len(joints), 20, 1)) < 0.05) * rng.normal(size=joints.shape) * 0.2,
        "an arm lost": -joints * (np.isin(np.arange(20), [9, 11]) & (np.arange(len(joints)) < 50)[:, None])[..., None],
    }  # fmt: skip
    for what, error in errors.items():
        for form, layout in (("kinect_v1", "kinect_v1"), (".skeleton", "kinect_v2"), ("utkinect", "utkinect")):
            rows = extract(clip(FORMS[form][1](joints + error)), layout=layout)
            assert len(rows[0].arrays["features"]) == len(joints), what


def test_a_body_at_rest_is_read_in_any_order(clip):
    """Nothing tells the order of joints that do not move."""
    still = figure()[:1].repeat(40, axis=0)
    assert len(read(clip(as_sdk(still)).path).joints) == 40


def test_no_real_file_can_be_of_another_layout(shared):
    files = sorted((shared / "msr-action3d").glob("a*_skeleton3D.txt"))
    assert len(files) == 567
    for file in files[::3]:
        for layout in (KINECT_V2, UTKINECT):
            with pytest.raises(UnusableVideo, match=r"20 joints|kinect_v1|multiple of 25"):
                read(file, layout=layout)


def test_real_joints_in_another_order_are_refused(shared, clip):
    """All but those of some who hardly move: nine in ten and more."""
    files = sorted((shared / "msr-action3d").glob("a*_s0[58]_*_skeleton3D.txt"))
    rng, refused = np.random.default_rng(0), []
    for file in files:
        joints, _ = read(file)
        for other in (as_sdk(joints), joints[:, rng.permutation(20)]):
            try:
                read(clip(other).path)
            except UnusableVideo as error:
                refused.append(str(error))
    assert len(refused) > 1.9 * len(files) * 0.95
    assert all(reason.startswith("over time bones change") for reason in refused)


# Configuration


def test_the_default_layout_has_no_part_in_fingerprints():
    assert "layout" not in Skeleton().significant(str)
    assert "layout" not in Skeleton().model_dump()
    assert Skeleton(layout="kinect_v2").significant(str)["layout"] == "kinect_v2"
    assert parse(Skeleton, {"layout": FORMS["lines"][0]}).significant(str)["layout"]["lines"] == 20
    assert [*LAYOUTS] == ["kinect_v1", "kinect_v2", "utkinect"]


def test_the_order_of_the_points_of_a_mean_has_no_part_in_fingerprints():
    one, other = (
        parse(Skeleton, {"layout": {"lines": 20, "joints": {**SDK_PLACES, "neck": neck}}}) for neck in ([5, 9], [9, 5])
    )
    assert one == other
    assert one.significant(str) == other.significant(str)


def test_a_layout_is_its_json():
    config = parse(Skeleton, {"layout": FORMS["columns"][0]})
    assert parse(Skeleton, config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ("kinect_v3", "unknown layout 'kinect_v3': did you mean 'kinect_v2'"),
        (25, "25 is no layout; a name .* or a table with joints is needed"),
        ({}, "layout.joints: Field required"),
        ({"lines": 20, "joints": {**SDK_PLACES, "hed": 4}}, "unknown field of Joints 'hed': did you mean 'head'"),
        ({"joints": {"head": 1, "neck": 4}}, "left_shoulder, .* are missing; all 20 joints need a place"),
        ({"joints": {k: v for k, v in COLUMNS.items() if k != "neck"}}, "neck is missing; .* as neck = "),
        ({"joints": {**COLUMNS, "head": 0}}, "head.0: Input should be greater than or equal to 1"),
        ({"joints": {**COLUMNS, "head": "a"}}, "head: 'a' is no place; a number, or a list of numbers, counted from 1"),
        ({"joints": {**COLUMNS, "head": 1.0}}, "head: 1.0 is no place; a number, or a list of numbers, counted from 1"),
        ({"joints": {**COLUMNS, "head": True}}, "head: True is no place; a number, or a list"),
        ({"joints": {**COLUMNS, "head": [1, True]}}, r"head: \[1, True\] is no place; a number, or a list"),
        ({"joints": {**COLUMNS, "head": []}}, "head: .* at least 1 item"),
        ({"joints": SDK_PLACES}, "columns 1 and 2 overlap, .* lines = the number of lines of a frame"),
        ({"lines": 19, "joints": SDK_PLACES}, "a joint in line 20, and a frame has 19 lines"),
        ({"lines": 20, "joints": {**SDK_PLACES, "head": 20}}, "right_foot and head have the same place; only joints"),
        ({"joints": COLUMNS, "x_column": 2}, "x_column is for frames of several lines"),
        ({"joints": COLUMNS, "dimensions": 4}, "dimensions: Input should be 2 or 3"),
    ],
)  # fmt: skip
def test_a_wrong_layout_is_one_sentence(layout, sentence):
    with pytest.raises(InputError, match=sentence):
        parse(Skeleton, {"layout": layout})


# Tables of one's own


def test_joints_may_be_means_of_several_points_and_share_those_of_neighbours(clip):
    """As of a pose estimator that has neither neck nor spine nor hip centre, and no hands."""
    joints = figure()
    names = [name for name in NAMES if name not in ("neck", "spine", "hip_centre", "left_hand", "right_hand")]
    place = {name: number for number, name in enumerate(names, start=1)}
    shoulders, hips = ([place[f"{side}_{part}"] for side in ("left", "right")] for part in ("shoulder", "hip"))
    place |= {"neck": shoulders, "hip_centre": hips, "spine": [*shoulders, *hips]}
    place |= {f"{side}_hand": place[f"{side}_wrist"] for side in ("left", "right")}
    points = joints[:, [NAMES.index(name) for name in names]]
    config = parse(Skeleton, {"layout": {"lines": len(names), "joints": place}})
    found = dict(zip(NAMES, np.moveaxis(config.read(clip(plain(points))).joints, 1, 0), strict=True))
    both = (found["left_shoulder"] + found["right_shoulder"]) / 2
    np.testing.assert_allclose(found["neck"], both)
    np.testing.assert_allclose(found["spine"], (both + found["hip_centre"]) / 2)
    np.testing.assert_array_equal(found["left_hand"], joints[:, NAMES.index("left_wrist")])
    (row,) = config.build("cpu")(clip(plain(points)))
    assert np.isfinite(row.arrays["features"]).all()


def test_flat_bodies_have_no_depth(clip):
    joints = figure()
    columns = {name: 1 + 3 * (place - 1) for name, place in SDK_PLACES.items()}  # x y score
    scored = np.concatenate([as_sdk(joints)[..., :2], np.ones((len(joints), 20, 1))], axis=2)
    rows = "\n".join(" ".join(map(repr, frame.ravel().tolist())) for frame in scored)
    found, _ = parse(Skeleton, {"layout": {"dimensions": 2, "joints": columns}}).read(clip(rows))
    np.testing.assert_array_equal(found, joints * (1, 1, 0))


def test_x_may_stand_in_any_column_of_a_line(clip):
    joints = figure()
    content = "".join(f"12:30:07,{number % 20},{x!r},{y!r},{z!r},Tracked\n"
                      for number, (x, y, z) in enumerate(as_sdk(joints).reshape(-1, 3).tolist()))  # fmt: skip
    config = parse(Skeleton, {"layout": {"lines": 20, "x_column": 3, "joints": SDK_PLACES}})
    np.testing.assert_array_equal(config.read(clip(content)).joints, joints)


def test_the_table_in_the_readme_reads_what_it_says(clip):
    """Of 33 landmarks; those that it names are here where the figure's joints are."""
    example = re.search(r"```toml\n(\[streams\.extractor\].*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    config = parse(Skeleton, tomllib.loads(example[1])["streams"]["extractor"])
    joints = figure()
    landmarks = np.full((len(joints), 33, 4), 0.5)
    means = {"neck", "spine", "hip_centre"}
    for name in set(NAMES) - means:
        (place,) = config.layout.joints.place(NAMES.index(name))
        landmarks[:, place - 1, :3] = joints[:, NAMES.index(name)]
    content = "\n".join(",".join(map(repr, landmark)) for landmark in landmarks.reshape(-1, 4).tolist())
    found, _ = config.read(clip(content))
    others = [number for number, name in enumerate(NAMES) if name not in means]
    np.testing.assert_array_equal(found[:, others], joints[:, others])
    np.testing.assert_allclose(found[:, NAMES.index("hip_centre")], joints[:, [4, 5]].mean(axis=1))


# Columns that are off by one


def rows_of(cells, separator=","):
    """Lines of cells (time, cell), of which nothing is left out."""
    return "\n".join(separator.join(map(repr, row)) for row in np.asarray(cells, float).tolist())


def beside(joints, scores=None):
    """Cells of a time, a body in the SDK's order, with scores or without, and three more columns."""
    points = as_sdk(joints)
    points = points if scores is None else np.concatenate([points, scores], axis=2)
    others = np.random.default_rng(1).random((len(joints), 3))
    return np.column_stack([np.arange(len(joints)) / 30, points.reshape(len(joints), -1), others])


def columns_of(step, by=0, **fields):
    joints = {name: 2 + by + step * (place - 1) for name, place in SDK_PLACES.items()}
    return parse(Skeleton, {"layout": {"joints": joints, **fields}})


@pytest.mark.parametrize(
    ("by", "reason"),
    [(-1, "change less one column further to the right than"), (1, "change less one column further to the left than")],
)
@pytest.mark.parametrize("scored", [False, True])
def test_a_table_that_is_off_by_a_column_is_refused(clip, by, reason, scored):
    joints = figure()
    scores = 0.8 + 0.1 * np.sin(np.arange(len(joints))[:, None, None] / 9 + np.arange(20)[:, None])
    content = rows_of(beside(joints, scores if scored else None))
    step = 4 if scored else 3
    np.testing.assert_array_equal(columns_of(step).read(clip(content)).joints, joints)
    with pytest.raises(UnusableVideo, match=f"over time bones {reason} in those of the layout; columns are counted"):
        columns_of(step, by).read(clip(content))


def test_four_numbers_a_joint_read_as_three_are_refused(clip):
    joints = figure()
    content = rows_of(beside(joints, np.random.default_rng(0).random((len(joints), 20, 1))))
    with pytest.raises(UnusableVideo, match="bones change less with one column more after each joint than"):
        columns_of(3).read(clip(content))


@pytest.mark.parametrize("beyond", ["numbers", "confidence", "states", "depth"])
def test_columns_beside_the_right_ones_refuse_nothing(clip, beyond):
    """Numbers of joints are as rigid as can be, and of a flat body y and depth may be more so than x and y."""
    joints = figure()
    extra = {
        "numbers": np.broadcast_to(np.arange(20.0)[:, None], (len(joints), 20, 1)),
        "confidence": np.ones((len(joints), 20, 1)),
        "states": np.random.default_rng(0).integers(1, 3, (len(joints), 20, 1)).astype(float),
        "depth": np.zeros((len(joints), 20, 0)),
    }[beyond]
    content = rows_of(beside(joints, extra))
    step = 3 + extra.shape[2]
    np.testing.assert_array_equal(columns_of(step).read(clip(content)).joints, joints)
    flat, _ = columns_of(step, dimensions=2).read(clip(content))
    np.testing.assert_array_equal(flat, joints * (1, 1, 0))


def refused(config, source):
    try:
        config.read(source)
    except UnusableVideo as error:
        return "over time bones change" in error.reason
    return False


def test_real_tables_that_are_off_by_a_column_are_refused_and_others_are_not(shared, clip):
    bodies = [read(file).joints for file in sorted((shared / "msr-action3d").glob("a*_s05_e01_skeleton3D.txt"))]
    wrong = {"left": columns_of(3, -1), "right": columns_of(3, 1)}
    count = dict.fromkeys(wrong, 0)
    for joints in bodies:
        source = clip(rows_of(beside(joints)))
        for right in (columns_of(3), columns_of(3, dimensions=2)):
            assert not refused(right, source)
        for side, config in wrong.items():
            count[side] += refused(config, source)
    assert len(bodies) > 15
    assert min(count.values()) >= 0.9 * len(bodies), count


# Errors of real joints, and flat ones


def real_bodies(shared, pattern):
    return [read(file).joints for file in sorted((shared / "msr-action3d").glob(f"{pattern}_skeleton3D.txt"))]


def test_noise_of_real_bodies_is_no_other_order(shared, clip):
    """It makes their bones elastic enough to be compared: none of them is, as it is."""
    rng = np.random.default_rng(0)
    for joints in real_bodies(shared, "a*_s0[58]_e01"):
        noise = joints + rng.normal(scale=0.03, size=joints.shape)
        assert _elasticity(noise)[0] > MIN_ELASTICITY
        assert len(read(clip(noise).path).joints) == len(joints)


def seen_from(joints, degrees):
    """Flat bodies (time, 20, 2) in pixels, of a camera far away."""
    x, y, z = np.moveaxis(joints - joints.mean(axis=(0, 1)), 2, 0)
    return 400 + 300 * np.stack([np.cos(np.radians(degrees)) * x + np.sin(np.radians(degrees)) * z, -y], axis=2)


def test_real_bodies_seen_from_any_side_are_no_other_order(shared, clip):
    config = parse(Skeleton, {"layout": {"lines": 20, "dimensions": 2, "joints": SDK_PLACES}})
    rng, shuffled, total = np.random.default_rng(0), 0, 0
    for joints in real_bodies(shared, "a*_s0[18]_e01"):
        for degrees in (0, 30, 45, 90):
            flat = seen_from(joints, degrees)
            config.read(clip("\n".join(f"{x!r} {y!r}" for x, y in as_sdk(flat).reshape(-1, 2).tolist())))
            other = flat[:, rng.permutation(20)].reshape(-1, 2).tolist()
            shuffled += refused(config, clip("\n".join(f"{x!r} {y!r}" for x, y in other)))
            total += 1
    assert shuffled > 0.6 * total


@pytest.mark.parametrize(("name", "degrees"), [("a01_s01_e03", 0), ("a05_s09_e02", 90), ("a20_s02_e01", 30)])
def test_real_bodies_whose_bones_change_most_from_a_side_pass(shared, clip, name, degrees):
    """By 3.6 to 4.1 times as much as the most rigid tree."""
    config = parse(Skeleton, {"layout": {"lines": 20, "dimensions": 2, "joints": SDK_PLACES}})
    (joints,) = real_bodies(shared, name)
    pixels = as_sdk(seen_from(joints, degrees)).reshape(-1, 2).tolist()
    assert len(config.read(clip("\n".join(f"{x!r} {y!r}" for x, y in pixels))).joints) == len(joints)
