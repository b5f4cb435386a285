"""Two sets of features side by side: what is said of them, and that nothing is touched."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from luigi.configuration import get_config
from typer.testing import CliRunner, Result

from extractors.pictures import Spool
from extractors.tvl1.config import quantised
from pipeline.compare.differences import difference
from pipeline.rows import Failure, Keys, Row
from pipeline.store.journal import Journal
from pipeline.store.seal import seal, write_index
from tasks.commands.app import app
from tasks.commands.export import export

Arrays = dict[str, np.ndarray]


def features(seed: int, steps: int = 6) -> Arrays:
    array = np.random.default_rng(seed).normal(size=(steps, 5)).astype(np.float32)
    return {"features": array, "start_frames": np.arange(steps)}


def stage(folder: Path, videos: Mapping[str, list[Arrays] | str], shards: int = 2) -> Path:
    """A stage's folder, sealed and indexed as a run does it; a text is the reason of a failure."""
    journal, sealed = Journal(folder / "journal"), []
    origin = {"fingerprint": folder.name.rpartition("-")[2], "stage": "s"}
    for number in range(shards):
        keys = []
        for video in sorted(videos)[number::shards]:
            rows = videos[video]
            variants = 1 if isinstance(rows, str) else len(rows)
            keys.append(Keys(video, "digest", tuple(f"{video.replace('/', '-')}-{n}" for n in range(variants))))
            if isinstance(rows, str):
                journal.fail(keys[-1], Failure(rows))
            else:
                journal.write(keys[-1], [Row(arrays, {"frames": 16}) for arrays in rows])
        sealed.append(folder / f"{number}-of-{shards}-0123456789ab.h5")
        seal(sealed[-1], keys, {key.name: journal.path(key) for key in keys}, origin)
        journal.discard(keys)
    write_index(folder / "index.h5", sealed, origin)
    return folder


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, Path]]]:
    """Two stages of four videos, the second's changed."""
    get_config().set("kinescope", "store", str(tmp_path))

    def make(**changed: list[Arrays] | str | None) -> tuple[Path, Path]:
        videos: dict[str, list[Arrays] | str] = {f"{label}/v{n}": [features(n)] for n, label in enumerate("aabb")}
        names = {video.replace("/", "_"): video for video in videos}
        others = {**videos, **{names.get(name, name): rows for name, rows in changed.items()}}
        a = stage(tmp_path / "first-0123456789ab", videos)
        kept = {video: rows for video, rows in others.items() if rows is not None}
        return a, stage(tmp_path / "second-ba9876543210", kept, shards=1)

    yield make
    get_config().remove_section("kinescope")


def compared(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def lines(answer: Result, code: int) -> list[str]:
    assert answer.exit_code == code, answer.output
    return list(answer.stdout.splitlines())


def refused(*arguments: str | Path) -> str:
    """The one sentence of a mistake."""
    answer = compared(*arguments)
    assert answer.exit_code == 2, answer.output
    (sentence,) = [line for line in answer.stderr.splitlines() if "compare:" not in line]
    return str(sentence)


def test_equal_stores(both: Callable[..., tuple[Path, Path]]) -> None:
    a, b = both()
    summary = lines(compared(a, b), 0)
    assert summary[-1] == "4 videos in both, 8 arrays compared, none differ"
    assert summary[0].split() == ["array", "rows", "cosine", "min", "cosine", "max", "difference"]
    assert summary[1].split() == ["features", "4", "1.000000", "1.000000", "0"]
    assert lines(compared(a.name, b / "index.h5"), 0)[-1] == summary[-1]
    shard = next(b.glob("0-of-1-*.h5"))
    assert lines(compared(shard, b), 0)[-1] == summary[-1]


def test_one_number_changed(both: Callable[..., tuple[Path, Path]]) -> None:
    changed = features(2)
    changed["features"][3, 1] += 0.25
    a, b = both(b_v2=[changed])
    _, worst, _, *_, verdict = lines(compared(a, b), 1)
    assert worst.split()[:3] == ["b/v2", "0", "features"]
    assert worst.split()[-1] == "0.25"
    assert verdict == "4 videos in both, 8 arrays compared, 1 differs"
    assert lines(compared(a, b, "--tolerance", "0.3"), 0)[-1].endswith("none differ by more than 0.3")


def test_steps_in_another_order(both: Callable[..., tuple[Path, Path]]) -> None:
    original = features(1)
    permuted = {name: array[::-1] for name, array in original.items()}
    cells = lines(compared(*both(a_v1=[permuted])), 1)[1].split()
    expected = difference(original["start_frames"], permuted["start_frames"], "a/v1", 0, "start_frames")
    assert cells[:3] == ["a/v1", "0", "start_frames"]
    assert float(cells[3]) == pytest.approx(expected.mean_cosine, abs=1e-6)
    assert float(cells[5]) == 5


def test_what_is_missing_is_said_on_either_side(both: Callable[..., tuple[Path, Path]]) -> None:
    scored = {**features(1), "scores": np.zeros((6, 2))}
    a, b = both(
        a_v0=None, a_v1=[scored, features(9)], b_v2=[features(2, steps=7)], b_v3="too dark", extra=[features(0)]
    )
    answer = lines(compared(a, b), 1)
    said = {tuple(line.split()) for line in answer}
    assert ("a/v0", "only", "in", "A") in said
    assert ("extra", "only", "in", "B") in said
    assert ("a/v1", "0", "scores", "only", "in", "B") in said
    assert ("a/v1", "1", "only", "in", "B") in said
    assert ("b/v2", "0", "features", *["shapes", "(6,", "5)", "and", "(7,", "5)"]) in said
    assert ("b/v3", *["only", "in", "A;", "failed", "in", "B:", "too", "dark"]) in said
    assert answer[-1].startswith("2 videos in both, 2 only in A, 1 only in B, 2 arrays compared, none differ, 4 on one")


def test_failures_of_both_are_no_difference(tmp_path: Path, both: Callable[..., tuple[Path, Path]]) -> None:
    videos: dict[str, list[Arrays] | str] = {"v0": [features(0)], "v1": "too dark"}
    a, b = stage(tmp_path / "x-0123456789ab", videos), stage(tmp_path / "y-0123456789ab", videos)
    assert lines(compared(a, b), 0)[-1].startswith("1 video in both, 2 arrays")


def test_the_worst_come_first_and_the_rest_is_counted(both: Callable[..., tuple[Path, Path]]) -> None:
    def moved(number: int, by: float) -> list[Arrays]:
        arrays = features(number)
        return [{**arrays, "features": arrays["features"] + np.float32(by)}]

    a, b = both(a_v0=moved(0, 1), a_v1=moved(1, 4), b_v2=moved(2, 2))
    answer = lines(compared(a, b, "--top", "2"), 1)
    assert [line.split()[0] for line in answer[1:3]] == ["a/v1", "b/v2"]
    assert answer[3] == "… and 1 more; --top 3 lists all"


def test_an_exported_store_equals_itself(tmp_path: Path, both: Callable[..., tuple[Path, Path]]) -> None:
    a, _ = both(b_v3=[features(3), features(4)])
    export(a, tmp_path / "out")
    assert lines(compared(a, tmp_path / "out"), 0)[-1] == "4 videos in both, 8 arrays compared, none differ"


@pytest.mark.parametrize("form", ["npy", "datasets", "groups"])
@pytest.mark.parametrize("first", [True, False])
def test_features_as_others_publish_them(
    form: str, first: bool, tmp_path: Path, both: Callable[..., tuple[Path, Path]]
) -> None:
    a, _ = both()
    theirs = tmp_path / ("theirs" if form == "npy" else "theirs.hdf5")
    for number, label in enumerate("aabb"):
        video, array = f"{label}/v{number}", features(number)["features"]
        if form == "npy":
            (theirs / label).mkdir(parents=True, exist_ok=True)
            np.save(theirs / f"{video}.npy", array)
        else:
            with h5py.File(theirs, "a") as file:
                file[video if form == "datasets" else f"{video}/features"] = array
    sides = (theirs, a) if first else (a, theirs)
    if form == "groups":
        side = "B" if first else "A"
        answer = lines(compared(*sides), 1)
        assert answer[1].split() == ["a/v0", "0", "start_frames", "only", "in", side]
        assert (
            answer[-1] == "4 videos in both, 4 arrays compared, none differ, 4 on one side only or of different shape"
        )
    else:
        assert lines(compared(*sides), 0)[-1] == "4 videos in both, 4 arrays compared, none differ"


def test_one_array_is_compared_with_what_has_no_name(tmp_path: Path) -> None:
    get_config().set("kinescope", "store", str(tmp_path))
    rows = {video: features(n)["features"] for n, video in enumerate("ab")}
    named = {video: [{"features-trial-1": row, "start_frames": np.arange(6)}] for video, row in rows.items()}
    ours, theirs = stage(tmp_path / "first-0123456789ab", named), tmp_path / "published.h5"
    with h5py.File(theirs, "w") as file:
        for video, row in rows.items():
            file[video] = row
    assert "no array of one name" in (told := "\n".join(lines(compared(ours, theirs), 1)))
    assert "--array chooses one" in told
    assert lines(compared(ours, theirs, "--array", "features-trial-1"), 0)[-1].startswith("2 videos in both")
    assert "no array 'scores'" in "\n".join(lines(compared(ours, ours, "--array", "scores"), 1))
    get_config().remove_section("kinescope")


def test_flow_as_others_publish_it(tmp_path: Path, both: Callable[..., tuple[Path, Path]]) -> None:
    flow = np.random.default_rng(0).uniform(-19, 19, size=(3, 2, 8, 9))
    levels = np.round((flow + 20) * 255 / 40).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["clip/flow_x"], file["clip/flow_y"] = levels[:, 0], levels[:, 1]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["clip/flow"] = flow + np.array([3.0, 4.0])[:, None, None]
    cells = lines(compared(tmp_path / "a.h5", tmp_path / "b.h5", "--tolerance", "1"), 1)[1].split()
    assert cells[:3] == ["clip", "0", "flow"]
    assert float(cells[6]) == pytest.approx(5, abs=0.12)


def test_flow_of_the_store_beside_flow_in_pixels(tmp_path: Path) -> None:
    get_config().set("kinescope", "store", str(tmp_path))
    flow = np.random.default_rng(0).uniform(-19, 19, size=(3, 2, 8, 9))
    row: dict[str, np.ndarray] = {"start_frames": np.arange(3)}
    for axis, name in enumerate("xy"):
        spool = Spool(name, "png", 95)
        for picture in quantised(flow[:, axis], 20):
            spool.add(picture)
        row |= spool.arrays()
    theirs = tmp_path / "published.h5"
    with h5py.File(theirs, "w") as file:
        file["clip/flow"] = flow + np.array([3.0, 4.0])[:, None, None]
    cells = lines(compared(stage(tmp_path / "tvl1-0123456789ab", {"clip": [row]}), theirs, "--array", "flow"), 1)[
        1
    ].split()
    get_config().remove_section("kinescope")
    assert cells[:3] == ["clip", "0", "flow"]
    assert float(cells[6]) == pytest.approx(5, abs=0.12)


def test_mistakes_are_sentences(tmp_path: Path, both: Callable[..., tuple[Path, Path]]) -> None:
    a, b = both()
    assert "no such store: nowhere" in refused(a, "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no features: a stage of an extractor" in refused(a, tmp_path / "empty")
    (tmp_path / "text.txt").write_text("1 2 3")
    assert "text.txt holds no features" in refused(tmp_path / "text.txt", a)
    (tmp_path / "text.h5").write_text("1 2 3")
    assert "text.h5 is damaged, or no HDF5 file" in refused(a, tmp_path / "text.h5")
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "v9.npy", np.zeros((2, 5)))
    assert "no video is in both" in refused(a, tmp_path / "other")
    (tmp_path / "other" / "a").mkdir()
    (tmp_path / "other" / "a" / "v0.npy").write_bytes(b"nonsense")
    assert "v0.npy is damaged, or no .npy file" in refused(a, tmp_path / "other")
    assert compared(a, b, "--tolerance", "-1").exit_code == 2


def test_damage_is_said_and_nothing_is_touched(both: Callable[..., tuple[Path, Path]]) -> None:
    a, b = both()
    shard = next(b.glob("0-of-1-*.h5"))
    content = bytearray(shard.read_bytes())
    place = content.find(features(0)["features"].tobytes())
    assert place > 0
    content[place] ^= 0xFF
    shard.write_bytes(content)
    before = {path: path.read_bytes() for path in a.parent.rglob("*") if path.is_file()}
    assert "damaged" in refused(a, b)
    assert {path: path.read_bytes() for path in a.parent.rglob("*") if path.is_file()} == before
