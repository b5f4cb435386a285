"""Weights that are known by name are downloaded, from a server on the loopback interface."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractors.weights.source import Source
from extractors.weights.sources import SOURCES, locate, record_of, records
from pipeline.errors import InputError
from tests.support.file_server import FileServer, serving

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "imagenet-resnet50"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    with serving(FileServer({"/model.pth": CONTENT})) as server:
        yield server


def known(monkeypatch: pytest.MonkeyPatch, server: FileServer, **more: object) -> None:
    """Have the name stand for a file of the server."""
    source = Source(f"{server.url}/model.pth", ("model.pth", "model.safetensors"), "free", **more)  # type: ignore[arg-type]
    monkeypatch.setitem(SOURCES, NAME, source)


@pytest.mark.parametrize("stated", ["", SHA256[:8]])
def test_at_first_use(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    known(monkeypatch, server, sha256=stated)
    for _ in range(2):
        assert locate(NAME, tmp_path / "weights").read_bytes() == CONTENT
    assert len(server.asked) == 1
    record = record_of(tmp_path / "weights" / "model.pth")
    assert record is not None
    assert record[:4] == (NAME, f"{server.url}/model.pth", SHA256, stated)
    assert records(tmp_path / "weights") == [record]


def test_a_file_that_was_replaced_has_no_record(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, server, sha256=SHA256[:8])
    path = locate(NAME, tmp_path)
    path.write_bytes(b"mine")
    assert record_of(path) is None


def test_an_error_without_words_is_named(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, server, hub=True)

    def unreachable(url: str) -> None:
        raise TimeoutError

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
    with pytest.raises(InputError, match="TimeoutError"):
        locate(NAME, tmp_path)


def test_what_is_there_under_another_name_is_taken(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, server, sha256=SHA256)
    (tmp_path / "model.safetensors").write_bytes(b"converted")
    assert locate(NAME, tmp_path) == tmp_path / "model.safetensors"
    assert not server.asked
    assert record_of(tmp_path / "model.safetensors") is None


def test_another_file_than_the_publishers_is_refused(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, server, sha256="0" * 8)
    with pytest.raises(InputError, match=f"weights 'imagenet-resnet50' are missing: .*{SHA256}, and 00000000 is"):
        locate(NAME, tmp_path)
    assert not list(tmp_path.glob("model*"))


def test_the_hub_states_the_digest(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, server, hub=True)
    server.headers = {"ETag": f'"{SHA256}"', "X-Repo-Commit": "0" * 40}
    locate(NAME, tmp_path)
    record = record_of(tmp_path / "model.pth")
    assert record is not None
    assert record.stated == SHA256
    server.headers = {"ETag": f'"{"0" * 64}"', "X-Repo-Commit": "0" * 40}
    with pytest.raises(InputError, match="is the publisher's"):
        locate(NAME, tmp_path / "another")


@pytest.mark.parametrize("hub", [False, True])
def test_what_is_nowhere(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, hub: bool) -> None:
    known(monkeypatch, server, hub=hub)
    server.files.clear()
    with pytest.raises(InputError, match=r"weights 'imagenet-resnet50' are missing: http.*404.*; they belong into "):
        locate(NAME, tmp_path)


def test_offline_nothing_is_asked(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, server)
    with pytest.raises(InputError, match="offline = true: run kinescope weights fetch imagenet-resnet50 where"):
        locate(NAME, tmp_path, offline=True)
    assert not server.asked


def test_a_damaged_record_is_none(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch, server)
    locate(NAME, tmp_path)
    for content in ("", "[]", "{}", '{"name": 1}', "\0"):
        (tmp_path / "model.pth.json").write_text(content)
        assert record_of(tmp_path / "model.pth") is None
        assert records(tmp_path) == []
