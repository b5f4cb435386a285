"""Every mistake that a user can make ends in one clear sentence and a code that is not zero."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import lacks_space
from pipeline.video.encode import write
from tasks.base import user_message
from tasks.settings import DEFAULTS
from tests.support.paths import ROOT
from tests.support.skeletons import text, walk

KINESCOPE = "from tasks.commands.app import app; app()"
LUIGI = "from luigi.cmdline import luigi_run; luigi_run()"
SKELETONS = 'extractor = {{ name = "skeleton" }}\nmodel = {{ name = "drnn", state = 4, fit = {{ epochs = 1 }} }}\n'
PICTURES = (
    'extractor = {{ name = "tsn", snippets = 2, crops = 1, '
    'network = {{ backbone = "squeezenet1_0", weights = "{weights}" }} }}\n'
    'model = {{ name = "drnn", state = 4, fit = {{ epochs = 1 }} }}\n'
)
RECIPE = 'title = "x"\n{more}\n[dataset]\nname = "{dataset}"\n{root}\n[[streams]]\n'


def recipe(folder: Path, stream: str = SKELETONS, *, root: str = "videos", dataset: str = "folder", **more: str) -> str:
    """A recipe's path; ``root`` is below the folder."""
    path = folder / "mine.toml"
    place = f'root = "{folder / root}"' if dataset == "folder" else ""
    fields = {"dataset": dataset, "root": place, "more": more.get("more", "")}
    path.write_text(RECIPE.format(**fields) + stream.format(weights=more.get("weights", "")))
    return str(path)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two classes: videos, skeleton files and nothing; and weights of another network."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("material")
    for label in ("a", "b"):
        (folder / "skeletons" / label).mkdir(parents=True)
        for number in range(3):
            write(folder / "videos" / label / f"{number}.mp4", np.full((5, 32, 48, 3), 40 * number, np.uint8), 25)
            (folder / "skeletons" / label / f"{number}.txt").write_text(text(walk(12, seed=number)))
    (folder / "empty").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "file").write_text("no folder")
    save_file({"a": np.zeros(3, np.float32)}, folder / "other.safetensors")
    return folder


def answer(
    code: str, *arguments: str, folder: Path, config: str = "", store: str = "", workers: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """What a user sees who has the default settings, with a store of his own and ``config`` added to [kinescope].

    Tasks run in luigi's own process, as the server of workers would import torch each time, except with ``workers``.
    """
    text = DEFAULTS.read_text().replace("store = store", store or f"store = {folder / 'store'}")
    if not workers:
        text = text.replace("force_multiprocessing = true", "force_multiprocessing = false")
        text = text.replace("workers = 2", "workers = 1")
    (folder / "luigi.cfg").write_text(text + config + "\n")
    ours = {"LUIGI_CONFIG_PATH": str(folder / "luigi.cfg"), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **ours, **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=300
    )


def check(answered: subprocess.CompletedProcess[str], *sentence: str) -> None:
    """One sentence, with all these parts, and a code."""
    assert answered.returncode != 0
    assert "Traceback" not in answered.stderr
    lines = [line for line in (answered.stdout + answered.stderr).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    for part in sentence:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "stick-figure"], "did you mean 'stick-figures'?"),
        (["why", "stick-figure"], "did you mean 'stick-figures'?"),
        (["gc", "stick-figure"], "did you mean 'stick-figures'?"),
        (["run", "nowhere.toml"], "nowhere.toml: No such file or directory; the path of an experiment's TOML file"),
        (["inspect", "nowhere"], "no such store: nowhere"),
        (["verify", "nowhere"], "no such store: nowhere"),
        (["compare", "nowhere", "nowhere"], "no such store: nowhere"),
    ],
)
def test_names_that_are_not_there(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    check(answer(KINESCOPE, *arguments, folder=tmp_path), sentence)


def test_a_mistyped_command_is_answered_by_the_nearest(tmp_path: Path) -> None:
    answered = answer(KINESCOPE, "inspekt", folder=tmp_path)
    assert answered.returncode == 2
    assert "Did you mean 'inspect'?" in answered.stderr


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("seed = 1", "unknown field of Experiment 'seed': did you mean 'seeds'?"),
        ('seeds = ["a"]', "seeds.0: Input should be a valid integer, unable to parse string as an integer, not 'a'"),
        ("seeds = [", "invalid TOML"),
        (f"seeds = [{10**10}]", "seeds.0: Input should be less than or equal to 1000000000"),
        (f"seeds = [{'1' * 5000}]", "thousands of digits"),
        (f"seeds = {'[' * 5000}{']' * 5000}", "more than 50 deep"),
        ('like = "mine.toml"', "like refers back to its own file"),
    ],
)
def test_recipes(more: str, sentence: str, tmp_path: Path) -> None:
    check(answer(KINESCOPE, "run", recipe(tmp_path, more=more), folder=tmp_path), "mine.toml: ", sentence)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("stor = x", "unknown setting 'stor': did you mean 'store'?"),
        ("shard-size = 3", "did you mean 'shard_size'?"),
        ("weights = a\0b", "'weights': 'a\\x00b' holds a NUL character; a path that a file can have is needed"),
        ("weights = loop", "'weights': 'loop': Too many levels of symbolic links"),
        ("weights = ~nobody-of-this-name/x", "'weights': '~nobody-of-this-name/x': Could not determine home directory"),
        ("weights = %(nowhere)s/x", "'weights' in section 'kinescope' contains an interpolation key 'nowhere'"),
        ("weights = ${NOWHERE_OF_THIS_NAME}/x", "nonexisting environment variable NOWHERE_OF_THIS_NAME"),
        ("data_roots = [3]", "names of data sets with their folders are needed"),
        (f"data_roots = {'[' * 5000}", "'data_roots'"),
    ],
)
def test_settings(config: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    answered = answer(LUIGI, "--module", "tasks", "Evaluate", folder=tmp_path, config=config)
    check(answered, "[kinescope] of luigi.cfg", sentence)


def test_what_a_worker_finds_wrong_with_the_settings_is_said_as_the_main_process_says_it(tmp_path: Path) -> None:
    answered = answer(KINESCOPE, "run", "stick-figures", folder=tmp_path, config="stor = x", workers=True)
    check(answered, "[kinescope] of luigi.cfg", "unknown setting 'stor': did you mean 'store'?")


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--kinescope-device", "gpu"), "'device': gpu is not a valid choice"),
        (("--kinescope-max-failed-videos", "some"), "invalid literal for int()"),
        (("--kinescope-shard-size", "0"), "'shard_size': 0; at least 1 is needed"),
        (("--kinescope-workers", "9" * 30), "'workers': " + "9" * 30 + "; at most 1024 is possible"),
        (("--kinescope-data-roots", '{"ucf101": 3}'), "names of data sets with their folders are needed"),
    ],
)
def test_settings_on_the_command_line(option: tuple[str, str], sentence: str, tmp_path: Path) -> None:
    check(answer(KINESCOPE, "run", "stick-figures", *option, folder=tmp_path), sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"root": "nowhere"}, "the data root of 'folder' is no folder: "),
        ({"root": "empty"}, "there are no videos, and two classes or more are needed"),
        ({"root": "a\\u0000b"}, "holds a NUL character, which no name and no path may have"),
        ({"root": "loop"}, "Too many levels of symbolic links"),
        ({"root": "a" * 300}, "File name too long"),
        ({"root": 'empty"\nmanifest = "a\\u0000b'}, "holds a NUL character"),
        ({"root": 'empty"\nmanifest = "../loop'}, "Too many levels of symbolic links; a CSV manifest is needed there"),
        ({"root": 'empty"\ntrials = 1000000000 #'}, "trials: Input should be less than or equal to 1000"),
        ({"dataset": "ucf"}, "unknown data set 'ucf': did you mean 'ucf101'?"),
        ({}, "has no skeleton file, only video; choose another extractor"),
    ],
)
def test_data(fields: dict[str, str], sentence: str, material: Path, tmp_path: Path) -> None:
    text = recipe(material, **fields)  # type: ignore[arg-type]
    check(answer(KINESCOPE, "run", text, folder=tmp_path), sentence)


def test_a_data_root_that_no_setting_names(tmp_path: Path) -> None:
    text = recipe(tmp_path, dataset="ucf101")
    answered = answer(KINESCOPE, "run", text, "--kinescope-data-roots", "{}", folder=tmp_path, workers=True)
    check(answered, "no data root for 'ucf101': set data_roots")


@pytest.mark.parametrize(
    ("weights", "workers", "sentence"),
    [
        ("none.safetensors", False, "no such file, nor is there one in"),
        ("imagenet-squeezenet1_0", False, "offline = true: run kinescope weights fetch imagenet-squeezenet1_0"),
        ("imagenet-squeezenet", False, "did you mean 'imagenet-squeezenet1_0'?"),
        ("OTHER", True, "these are not weights of SqueezeNet: of its 50 tensors 50 missing"),
    ],
)
def test_weights(weights: str, workers: bool, sentence: str, material: Path, tmp_path: Path) -> None:
    named = str(material / "other.safetensors") if weights == "OTHER" else weights
    text = recipe(material, PICTURES, weights=named)
    answered = answer(KINESCOPE, "run", text, "--kinescope-offline", "true", folder=tmp_path, workers=workers)
    check(answered, sentence)


def test_a_device_that_is_not_there(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    stream = 'extractor = {{ name = "hog3d" }}\nmodel = {{ name = "drnn", state = 4, fit = {{ epochs = 1 }} }}\n'
    answered = answer(KINESCOPE, "run", recipe(material, stream), "--kinescope-device", "cuda", folder=tmp_path)
    check(answered, "device = cuda, but torch sees no CUDA device")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["EvaluateAll", "--experiments", "stick-figures"], "names in JSON are needed, such as"),
        (["EvaluateAll", "--experiments", '["stick-figure"]'], "did you mean 'stick-figures'?"),
        (["Decode", "--dataset", '{"name": "folders"}'], "did you mean 'folder'?"),
        (["Decode", "--dataset", "folder"], "a configuration in JSON is needed"),
        (["Decode", "--dataset", '{"name": ["folder"]}'], "is no text; a name is needed"),
        (["Decode", "--dataset", '{"name": "folder", "root": "a\\u0000b"}'], "holds a NUL character"),
        (["Decode", "--dataset", f'{{"name": "kth", "trials": {"1" * 5000}}}'], "thousands of digits"),
        (["Decode", "--dataset", "[" * 50_000], "more than 50 deep"),
        (["EvaluateAll", "--experiments", "3"], "names in JSON are needed, such as"),
        (["EvaluateAll", "--experiments", "[" * 50_000], "names in JSON are needed, such as"),
        (["Evaluate", "--experiment", "a" * 3000 + ".toml"], "File name too long"),
        (["Decode"], "requires the 'dataset' parameter to be set"),
    ],
)
def test_luigis_own_command_line(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    check(answer(LUIGI, "--module", "tasks", *arguments, folder=tmp_path), sentence)


def test_a_store_that_cannot_be(material: Path, tmp_path: Path) -> None:
    text = recipe(material, root="skeletons")
    store = str(material / "file" / "store")
    check(answer(KINESCOPE, "run", text, "--kinescope-store", store, folder=tmp_path), "must be a writable folder")


def test_too_many_failures_come_after_the_table(material: Path, tmp_path: Path) -> None:
    text = recipe(material, root="skeletons")
    spoilt = material / "skeletons" / "a" / "1.txt"
    whole = spoilt.read_text()
    spoilt.write_text("nonsense")
    answered = answer(KINESCOPE, "run", text, folder=tmp_path, workers=True)
    spoilt.write_text(whole)
    assert answered.returncode != 0
    assert "skeleton + drnn" in answered.stdout
    assert "report: " in answered.stdout.splitlines()[-1]
    assert answered.stderr.count("videos that could not be used: 1; max_failed_videos in [kinescope] allows 0") == 1
    assert "a/1" in answered.stderr
    assert "Traceback" not in answered.stderr


def test_a_test_half_without_a_usable_video_is_all_wrong_and_no_reason_to_stop(material: Path, tmp_path: Path) -> None:
    spoilt = material / "skeletons" / "a" / "spoilt.txt"
    spoilt.write_text("1 2 3 4\n")
    rows = [f"{label}/{number}.txt,{label},train" for label in "ab" for number in range(3)]
    manifest = material / "skeletons" / "manifest.csv"
    manifest.write_text("\n".join(["path,label,split", *rows, "a/spoilt.txt,a,test\n"]))
    answered = answer(KINESCOPE, "run", recipe(material, root="skeletons"), folder=tmp_path)
    manifest.unlink()
    spoilt.unlink()
    assert answered.returncode == 30, answered.stderr
    assert "skeleton + drnn          0.00" in answered.stdout
    assert "videos that could not be used: 1; max_failed_videos in [kinescope] allows 0" in answered.stderr
    assert "Traceback" not in answered.stderr


@pytest.mark.parametrize(
    ("code", "arguments"), [(KINESCOPE, ["run"]), (LUIGI, ["--module", "tasks", "Evaluate", "--experiment"])]
)
def test_a_luigi_cfg_with_one_setting_is_enough(tmp_path: Path, code: str, arguments: list[str]) -> None:
    (tmp_path / "luigi.cfg").write_text(f"[kinescope]\nstore = {tmp_path / 'mine'}\n")
    environment = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
    command = [sys.executable, "-c", code, *arguments, recipe(tmp_path, root="nowhere")]
    answered = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        timeout=60,  # without the project's own settings luigi looks for a scheduler for minutes
    )
    check(answered, "the data root of 'folder' is no folder")


def test_a_lack_of_memory_is_told_in_a_sentence() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 44)
    sentence = user_message(caught.value)
    assert sentence is not None
    assert sentence.startswith("not enough memory: Unable to allocate 128. TiB")
    assert (user_message(MemoryError()) or "").startswith("not enough memory; free some")


def test_a_lack_of_space_is_recognised_however_it_is_told() -> None:
    assert lacks_space(OSError(errno.ENOSPC, "No space left on device"))
    assert lacks_space(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert lacks_space(RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = …)"))
    assert not lacks_space(RuntimeError("errno = 282"))
    assert not lacks_space(OSError(errno.EIO, "Input/output error"))
    after = ValueError("closing failed, too")
    after.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert lacks_space(after)


@pytest.mark.parametrize("name", ["100%", "100%d", "%(x", "50%%"])
def test_a_percent_sign_in_a_path_of_luigi_cfg(name: str, material: Path, tmp_path: Path) -> None:
    """Two stand for one, as everywhere in such files."""
    folder = tmp_path / name.replace("%%", "%")
    folder.mkdir()
    text = recipe(material, PICTURES, weights="imagenet-squeezenet1_0")
    answered = answer(KINESCOPE, "run", text, folder=tmp_path, config=f"weights = {tmp_path / name}")
    check(answered, f"into {folder}")


def test_what_a_setting_of_luigi_cfg_refers_to_is_still_filled_in(material: Path, tmp_path: Path) -> None:
    text = recipe(material, PICTURES, weights="imagenet-squeezenet1_0")
    config = "weights = %(device)s-${KINESCOPE_TEST_HOME}-%"
    environment = {"KINESCOPE_TEST_HOME": "home"}
    answered = answer(KINESCOPE, "run", text, folder=tmp_path, config=config, **environment)
    check(answered, f"into {tmp_path / 'auto-home-%'}")


@pytest.mark.parametrize("arguments", [["inspect", "x" * 3000], ["verify", "loop"], ["export", "loop", "o", "--npy"]])
def test_paths_of_commands_that_no_file_can_have(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    check(answer(KINESCOPE, *arguments, folder=tmp_path), "a path that a file can have is needed")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, to which nothing can be written."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_to_which_nothing_can_be_written(read_only: Path, material: Path, tmp_path: Path) -> None:
    text = recipe(material, root="skeletons")
    config = f"store = {read_only}"
    for arguments in (["gc", text, "--delete"], ["run", text]):
        answered = answer(KINESCOPE, *arguments, folder=tmp_path, store=config)
        check(answered, "Read-only file system; the store in [kinescope] must be a writable folder")
        assert answered.returncode == (2 if arguments[0] == "gc" else 30)
    assert answer(KINESCOPE, "gc", text, folder=tmp_path, store=config).returncode == 0
