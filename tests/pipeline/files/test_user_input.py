"""What a user wrote is read, or ends in one sentence: nothing of it ends in a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.files.user_input import MAX_DEPTH, brief, read_json, read_toml, resolve

DIGITS = "1" * 5000


def as_json(text: str, _: Path) -> Any:
    return read_json(text, "a list")


def as_toml(text: str, folder: Path) -> Any:
    (folder / "x.toml").write_text(f"x = {text}")
    return read_toml(folder / "x.toml")["x"]


def test_toml_that_is_not_there_or_malformed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_toml(tmp_path / "none.toml")
    for text in ("a = = 1", "a = 2024-13-45", "a = 1__0"):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(InputError, match=r"bad\.toml: invalid TOML"):
            read_toml(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b"a = '\xe9'")
    with pytest.raises(InputError, match=r"latin\.toml: invalid TOML"):
        read_toml(tmp_path / "latin.toml")


@pytest.mark.parametrize("read", [as_json, as_toml])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 5000 + "]" * 5000, "more than 50 deep"),
        ("[" * 100 + "]" * 100, "more than 50 deep"),
        (DIGITS, "number of thousands of digits"),
        (f"[-{DIGITS}]", "number of thousands of digits"),
        (str(2**63), "a whole number of 64 bits"),
        ('"a\\u0000b"', "NUL"),
        ('[["a\\u0000b"]]', "NUL"),
    ],
)
def test_what_no_field_can_hold(read: Callable[[str, Path], Any], text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        read(text, tmp_path)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [as_json, as_toml])
@pytest.mark.parametrize("value", [2**63 - 1, -(2**63) + 1, 1.5, "é", [[1, "2"], []]])
def test_what_a_field_can_hold(read: Callable[[str, Path], Any], value: Any, tmp_path: Path) -> None:
    assert read(json.dumps(value), tmp_path) == value


def test_numbers_and_tables_that_toml_alone_can_write(tmp_path: Path) -> None:
    for text, sentence in (
        (f"a = 0x{'f' * 5000}", "a whole number of 20000 bits"),
        (f"[{'.'.join('a' * 5000)}]", "more than 50 deep"),
        (f"{'.'.join('a' * (MAX_DEPTH + 1))} = 1", "more than 50 deep"),
        ('"a\\u0000" = 1', "NUL"),
    ):
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_toml(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text(f"{'.'.join('a' * MAX_DEPTH)} = 1")
    assert read_toml(tmp_path / "x.toml")


def test_json_that_is_malformed() -> None:
    with pytest.raises(InputError, match=r"^'\[' is not valid JSON \(.*\); a list in JSON is needed$"):
        read_json("[", "a list")


def test_paths_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "there").symlink_to("back")
    (tmp_path / "back").symlink_to("there")
    with pytest.raises(InputError, match="home directory"):
        resolve("~nobody-of-this-name/x")
    for name in ("a\0b", "a" * 300, "a/" * 3000, "loop", "there", "loop/within", "\ud800"):
        with pytest.raises(InputError, match="a path that a file can have is needed") as caught:
            resolve(tmp_path / name)
        assert len(str(caught.value)) < 300


def test_paths_that_a_file_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("file", "link", "./link", "~/file", "~/link"):
        assert resolve(name) == (tmp_path / "file").resolve()
    assert resolve("no/such/../file") == (tmp_path / "no" / "file").resolve()


def test_what_is_told_of_a_value_is_short() -> None:
    deep: Any = [0]
    for _ in range(40):
        deep = [deep, deep]
    for value in ("x" * 10**6, deep, {str(n): deep for n in range(100)}):
        assert len(brief(value)) < 300
    assert brief(3) == "3"
    assert brief("a text") == "'a text'"
