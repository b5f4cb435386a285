"""Recipes that take from other recipes: what is merged, what is replaced, and every mistake in one sentence."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.errors import InputError
from tasks.commands.app import app
from tasks.experiment import load_experiment
from tasks.recipes import bundled, matching, read_recipe

Write = Callable[..., str]
BASE = """
title = "base"
table = "a table"
notes = ["a note"]
reported = 90
seeds = [0, 1]
[dataset]
name = "stick_figures"
subjects = 4
[[streams]]
reported = 80
label = "one"
extractor = { name = "skeleton", variant = "472" }
model = { name = "drnn", order = 2, fit = { epochs = 3, lr = 0.5 } }
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "base.toml").write_text(BASE)

    def make(text: str, name: str = "mine.toml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return make


def test_what_is_not_said_is_taken_over_but_for_title_and_reported(write: Write) -> None:
    mine = load_experiment(write('title = "mine"\nlike = "base.toml"'))
    base = load_experiment(write(BASE, "base.toml"))
    assert mine.title == "mine"
    assert mine.reported is mine.streams[0].reported is None
    assert (mine.table, mine.notes, mine.seeds) == (base.table, base.notes, base.seeds)
    assert mine.dataset == base.dataset
    assert mine.streams[0].model == base.streams[0].model
    assert mine.streams[0].model.fit.lr == 0.5


def test_tables_merge_and_all_else_is_replaced(write: Write) -> None:
    text = 'title = "mine"\nlike = "base.toml"\nseeds = [7]\nreported = 70\ndataset = { subjects = 5 }\n[[streams]]\n'
    text += 'like = "base.toml#streams.0"\nmodel = { order = 1, fit = { epochs = 9 } }'
    mine = load_experiment(write(text))
    assert (mine.seeds, mine.reported, mine.dataset.subjects, len(mine.streams)) == ((7,), 70, 5, 1)
    model = mine.streams[0].model
    assert (model.order, model.fit.epochs, model.fit.lr) == (1, 9, 0.5)


def test_a_table_of_another_name_is_another_thing(write: Write) -> None:
    text = 'title = "mine"\nlike = "base.toml"\n[[streams]]\nlike = "base.toml#streams.0"\nmodel = {{ {model} }}'
    mine = load_experiment(write(text.format(model='name = "linear_svm"')))
    assert mine.streams[0].model == load_experiment("ucf101-11-svm").streams[0].model
    same = load_experiment(write(text.format(model='name = "drnn", order = 0')))
    assert (same.streams[0].model.order, same.streams[0].model.fit.lr) == (0, 0.5)


def test_one_table_of_a_bundled_recipe(write: Write) -> None:
    text = (
        'title = "mine"\nlike = "base.toml"\n[[streams]]\nextractor = { like = "stick-figures#streams.0.extractor" }\n'
    )
    mine = load_experiment(write(text + 'model = { name = "lstm", hidden = 3 }'))
    assert mine.streams[0].extractor == load_experiment("stick-figures").streams[0].extractor


def test_chains_go_from_folder_to_folder(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write('title = "middle"\nlike = "../base.toml"\nseeds = [3]', "below/middle.toml")
    path = write('title = "mine"\nlike = "below/middle.toml"\ntable = "mine"')
    for folder in (tmp_path, tmp_path / "below"):
        monkeypatch.chdir(folder)
        mine = load_experiment(path)
        assert (mine.title, mine.table, mine.seeds, mine.notes) == ("mine", "mine", (3,), ("a note",))


def test_a_recipe_without_like_is_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text("a = 1\nb = [{ c = 2 }, 3]\n")
    assert read_recipe(tmp_path / "plain.toml") == {"a": 1, "b": [{"c": 2}, 3]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('like = "mine.toml"', "mine.toml: like refers back to its own file: mine.toml → mine.toml"),
        ('like = "around.toml"', "around.toml: like refers back to its own file: mine.toml → around.toml → mine.toml"),
        ('like = "stick-figure"', "like: unknown experiment 'stick-figure': did you mean 'stick-figures'?"),
        ('like = "absent.toml"', "absent.toml: No such file or directory"),
        ("like = 3", "like: 3 is no text; the name or path of an experiment is needed, in quotes"),
        ('like = "base.toml#stream.0"', "unknown place 'stream': did you mean 'streams'?"),
        ('like = "base.toml#streams.1"', "like = 'base.toml#streams.1': unknown place '1': there are (0)"),
        ('like = "base.toml#title"', "like = 'base.toml#title' refers to 'base'; a table is needed"),
        ('like = "base.toml#title.x"', "unknown place 'x': there are ()"),
        ('like = "base.toml"', "title: Field required"),
        (
            'title = "m"\nlike = "base.toml"\ndataset = { subject = 3 }',
            "unknown field of StickFigures 'subject'",
        ),
        ('dataset = { like = "nothing.toml#x" }', "nothing.toml: No such file"),
        ('[[streams]]\nmodel = { like = "stick" }', "streams.0.model.like: unknown experiment 'stick'"),
    ],
)
def test_mistakes_name_the_file_and_what_would_be_right(text: str, sentence: str, write: Write) -> None:
    path = write(text)
    write('like = "mine.toml"', "around.toml")
    with pytest.raises(InputError) as error:
        load_experiment(path)
    assert str(error.value).startswith(f"{path}: ")
    assert sentence in str(error.value)
    assert str(error.value).count(f"{path}: ") == 1


def test_show_prints_what_is_taken_over_and_every_default(write: Write) -> None:
    path = write('title = "mine"\nlike = "base.toml"')
    answer = CliRunner().invoke(app, ["show", path])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == json.loads(load_experiment(path).canonical())
    assert "like" not in json.loads(answer.stdout)


def test_patterns_stand_for_bundled_names() -> None:
    assert matching("kth1-drnn?") == ["kth1-drnn1", "kth1-drnn2"]
    assert matching("kth1-*") == [name for name in bundled() if name.startswith("kth1-")]
    assert matching("./kth1-mine.toml") == ["./kth1-mine.toml"]


def test_a_pattern_lists_a_part() -> None:
    answer = CliRunner().invoke(app, ["list", "kth1-drnn?"])
    header, *lines = answer.stdout.splitlines()
    assert header.split() == ["experiment", "reported", "table", "title"]
    assert [line.split()[0] for line in lines] == ["kth1-drnn1", "kth1-drnn2"]
    assert CliRunner().invoke(app, ["list", "nothing-*"]).exit_code != 0


def test_files_that_many_take_over_from_are_read_once(write: Write) -> None:
    """Each takes over the one before twice; read anew each time, the last one's would be read a million times."""
    write('title = "0"\nx = { y = 1 }', "0.toml")
    for number in range(1, 21):
        like = f"{number - 1}.toml"
        path = write(f'title = "x"\nx = {{ like = "{like}#x" }}\ny = {{ like = "{like}" }}\ny.y = 1', f"{number}.toml")
        write(f'title = "x"\nlike = "{like}"\nx = {{ like = "{like}#x" }}', f"{number}.toml")
    assert read_recipe(Path(path)) == {"title": "x", "x": {"y": 1}}


@pytest.mark.parametrize(
    "text",
    [
        'x = {{ like = "{0}" }}\ny = {{ like = "{0}" }}',
        'like = "{0}"\nx = {{ like = "{0}" }}\ny = {{ like = "{0}" }}',
    ],
)
def test_tables_that_double_with_every_file_have_an_end(text: str, write: Write) -> None:
    write('title = "0"', "0.toml")
    for number in range(1, 41):
        path = write(f'title = "x"\n{text.format(f"{number - 1}.toml")}', f"{number}.toml")
    with pytest.raises(InputError, match=r"40\.toml: .*\d+\.toml: with what it takes over it has more than 10,000"):
        load_experiment(path)


def test_a_long_chain_is_followed(write: Write) -> None:
    write('title = "0"\nseeds = [7]\nx = { like = "base.toml" }', "0.toml")
    for number in range(1, 1401):
        path = write(f'title = "{number}"\nlike = "{number - 1}.toml"', f"{number}.toml")
    found = read_recipe(Path(path))
    assert (found["title"], found["seeds"], found["x"]["seeds"]) == ("1400", [7], [0, 1])


def test_a_long_circle_is_found(write: Write) -> None:
    for number in range(1400):
        path = write(f'like = "{(number + 1) % 1400}.toml"', f"{number}.toml")
    with pytest.raises(InputError, match=r"like refers back to its own file: 1399\.toml → 0\.toml → 1\.toml"):
        load_experiment(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('like = "a\\u0000.toml"', "NUL"),
        (f'like = "{"a" * 300}.toml"', "File name too long"),
        ('like = "loop.toml"', "Too many levels of symbolic links"),
        (f"a = {'[' * 5000}{']' * 5000}", "more than 50 deep"),
        (f"seeds = [{'1' * 5000}]", "thousands of digits"),
        (
            f'title = "x"\nlike = "base.toml"\ntable = {{ x = "{"x" * 100_000}" }}',
            "table: Input should be a valid string",
        ),
        (
            'title = "x"\nlike = "base.toml"\nstreams = [{ model = { name = ["a"] } }]',
            "is no text; a name is needed, such as",
        ),
    ],
)
def test_what_no_recipe_can_hold(text: str, sentence: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    path = write(text)
    answer = CliRunner().invoke(app, ["show", path])
    assert answer.exit_code == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"error: {path}: ")
    assert sentence in line
    assert len(line) < 600


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        (
            'extractor = { name = "tvl1" }\nmodel = { name = "lstm" }',
            "streams.0: lstm reads features, which rows of tvl1 do not have: choose an extractor that makes features",
        ),
        (
            'join = "sum"\nmodel = { name = "lstm" }\ninputs = [\n  { extractor = { name = "frames" } },\n'
            '  { extractor = { name = "harris3d" } },\n]',
            "lstm reads features, which rows of frames do not have",
        ),
        (
            'extractor = { name = "skeleton" }\nmodel = { name = "consensus" }',
            "consensus reads scores, which rows of skeleton do not have: give its network a fit, or choose a model",
        ),
    ],
)
def test_a_model_that_could_read_nothing_is_refused_before_anything_is_computed(
    write: Write, stream: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_experiment(write(f'title = "x"\n[dataset]\nname = "stick_figures"\n[[streams]]\n{stream}\n'))
