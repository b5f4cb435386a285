"""``kinescope datasets``: where each is had, and what is missing, as the listing of the data set says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.configuration import get_config
from typer.testing import CliRunner

from data import DATASETS
from data.ucf101 import UCF101
from tasks.commands.app import app
from tasks.commands.datasets import uses
from tasks.experiment import load_experiment
from tasks.recipes import bundled
from tests.support.paths import ROOT
from tests.support.toy_datasets import TOYS, touch


@pytest.fixture
def no_roots(tmp_path: Path) -> Iterator[None]:
    """Settings that name no root."""
    get_config().set("kinescope", "store", str(tmp_path / "store"))
    yield
    get_config().remove_section("kinescope")


def set_roots(**roots: Path) -> None:
    get_config().set("kinescope", "data_roots", json.dumps({name: str(root) for name, root in roots.items()}))


def answer(*arguments: str) -> str:
    answered = CliRunner().invoke(app, ["datasets", *arguments])
    assert answered.exit_code == 0, answered.stderr
    return str(answered.stdout)


def refused(*arguments: str) -> str:
    """The one sentence with which a mistake is answered."""
    answered = CliRunner().invoke(app, ["datasets", *arguments])
    assert answered.exit_code == 2
    (line,) = answered.stderr.splitlines()
    return str(line)


@pytest.mark.usefixtures("no_roots")
def test_the_table_names_every_data_set_with_its_licence_and_its_page() -> None:
    header, rule, *lines = answer().splitlines()
    assert header.startswith("data set")
    assert set(rule) == {"─", " "}
    by_name = {line.split()[0]: line for line in lines if line.split()[:1]}
    for name, kind in DATASETS.items():
        assert kind.publication.licence in by_name[name]
        assert kind.publication.homepage in by_name[name]
        assert kind.publication.size in by_name[name]
    counted = {name: by_name[name] for name in uses()}
    assert "10 of 10" in counted.pop("stick_figures")
    assert all(" 0 of " in line for line in counted.values())


def test_of_what_has_to_be_had_page_licence_and_size_are_said_or_said_to_be_unknown() -> None:
    for kind in DATASETS.values():
        published = kind.publication
        assert published.licence
        assert bool(published.homepage) == bool(published.size) == (published.videos > 0)
        assert "page says" not in published.licence


@pytest.mark.usefixtures("no_roots")
@pytest.mark.parametrize("name", DATASETS)
def test_one_is_described_with_its_layout(name: str) -> None:
    said = " ".join(answer(name).split())
    published = DATASETS[name].publication
    for part in (published.homepage, published.access, published.licence, published.size):
        assert part in said
    assert "``" not in said
    layout = {
        "kth": "lie in the root itself, or in one folder for each action",
        "msr_action3d": "The root holds aXX_sYY_eZZ_skeleton3D.txt",
        "ucf101": "classInd.txt, trainlist01.txt, testlist01.txt and so on in ucfTrainTestlist/, splits/",
        "hmdb51": "in testTrainMulti_7030_splits/, splits/ or the root itself",
        "act": "a first line path,label,split",
        "fcvid": "FCVID_VideoName_TrainTestSplit.txt has one line for each video",
        "folder": "each folder in the root is a class",
        "stick_figures": "Each subject performs each action in each scenario",
    }
    assert layout[name] in said
    assert ("no folder is known: add --root FOLDER, or set data_roots" in said) == (
        name not in ("folder", "stick_figures")
    )


@pytest.mark.usefixtures("no_roots")
@pytest.mark.parametrize("name", [name for name in TOYS if name not in ("folder", "stick_figures", "ucf101")])
def test_what_is_missing_is_what_the_listing_says(name: str, tmp_path: Path) -> None:
    """Toys are whole by their own lists; KTH's has all videos, but no list of segments."""
    root = tmp_path / name
    config = TOYS[name](root)
    listing = config.listing(root)
    numbers = f"{len(listing.videos):,} examples of {len(listing.classes)} classes"
    said = answer(name, "--root", str(root))
    assert f"below {root}\n" in said
    assert said.count(f": complete, {numbers}") == 1
    assert ("00sequences.txt: No such file" in said) == (name == "kth")
    assert f'data_roots = {{"{name}": "{root}"}}' in said
    set_roots(**{name: root})
    assert answer(name) == said[: said.index("recipes find it by")]
    next(iter(listing.videos[0].files.values())).unlink()
    assert f"1 of {len(listing.videos)} files are missing in" in answer(name)
    assert f"complete, {numbers}" not in answer(name)


@pytest.mark.usefixtures("no_roots")
def test_a_part_may_be_there_where_the_whole_is_not(shared: Path) -> None:
    set_roots(ucf101=shared / "ucf101-11")
    part, whole = answer("ucf101").splitlines()[-2:]
    recipes = [name for name in bundled() if load_experiment(name).dataset.plain.name == "ucf101"]
    on_part = [name for name in recipes if name.startswith("ucf101-11-")]
    on_whole = sorted({*recipes} - {*on_part})
    assert part == f"  {on_part[0]} and {len(on_part) - 1} other recipes: complete, 825 examples of 11 classes"
    assert f"  {on_whole[0]} and {len(on_whole) - 1} other recipes: 12495 of 13320 files are missing" in whole
    (line,) = [line for line in answer().splitlines() if line.startswith("ucf101")]
    assert f" {len(on_part)} of {len(recipes)} " in line


@pytest.mark.usefixtures("no_roots")
def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    said = answer("hmdb51", "--root", str(tmp_path / "nowhere"))
    assert f"below {tmp_path}/nowhere\n  nothing: there is no such folder" in said


@pytest.mark.usefixtures("no_roots")
@pytest.mark.parametrize("name", [name for name, kind in DATASETS.items() if not kind.fetchable])
def test_what_may_not_be_fetched_is_told_how_it_is_had(name: str, tmp_path: Path) -> None:
    said = refused(name, "--fetch", "--root", str(tmp_path / "root"))
    assert f"{name} cannot be fetched from here. {DATASETS[name].publication.access}" in said
    assert not (tmp_path / "root").exists()


@pytest.mark.usefixtures("no_roots")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["khth"], "unknown data set 'khth': did you mean 'kth'?"),
        (["--fetch"], "--root and --fetch are about one data set: give its name, such as kth"),
        (["--root", "somewhere"], "--root and --fetch are about one data set"),
        (["kth", "--fetch"], '--fetch needs a folder: add --root FOLDER, or set data_roots = {"kth": "FOLDER"}'),
        (["kth", "--fetch", "--root", __file__], f"--fetch needs a folder: {__file__} is a file; name one that is"),
        (["kth", "--root", ""], "--root is empty; a folder is needed"),
        (["kth", "--root", "", "--fetch"], "--root is empty; a folder is needed"),
        (
            ["stick_figures", "--root", "x"],
            "stick_figures has no folder that --root could name. Nothing has to be downl",
        ),
        (["folder", "--root", "x"], "folder has no folder that --root could name. Put the videos of each class into"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str) -> None:
    assert sentence in refused(*arguments)


def test_an_empty_root_is_not_that_of_the_setting(tmp_path: Path, no_roots: None) -> None:
    set_roots(kth=tmp_path)
    assert refused("kth", "--root", "") == "error: --root is empty; a folder is needed"


def test_where_nothing_may_be_downloaded_nothing_is(
    tmp_path: Path, no_roots: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_config().set("kinescope", "offline", "true")
    monkeypatch.setattr(
        DATASETS["kth"], "publication", DATASETS["kth"].publication._replace(homepage="http://[::1]:1/")
    )
    said = refused("kth", "--fetch", "--root", str(tmp_path / "kth"))
    assert "--fetch would download kth, and offline = true in section [kinescope] of luigi.cfg forbids it" in said
    assert not (tmp_path / "kth").exists()


def test_every_recipe_is_counted_once() -> None:
    named = [recipe for used in uses().values() for use in used for recipe in use.recipes]
    assert sorted(named) == bundled()
    assert {use.dataset for use in uses()["ucf101"]} == {
        UCF101(),
        load_experiment("ucf101-11-svm").dataset.without_protocol(),
    }


def test_it_loads_nothing_heavy(tmp_path: Path) -> None:
    touch(tmp_path, "luigi.cfg")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tasks.commands.app import app\n"
        "app(['datasets'], standalone_mode=False)\n"
        "print([name for name in ('torch', 'cv2', 'av') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.splitlines()[-1] == "[]"
