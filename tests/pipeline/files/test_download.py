"""Downloads from a server on the loopback interface: whole or not at all, and on from where one ended."""

import hashlib
import io
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.files import progress
from pipeline.files.download import digits_in, download
from tests.support.file_server import FileServer, serving
from tests.support.runs import until

CONTENT = np.random.default_rng(0).integers(0, 256, 30_000, np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def downloader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the downloader try again at once, and write every thousand bytes instead of every ten million."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)


def left(folder: Path) -> set[str]:
    """What is in a folder, but for a part that holds nothing."""
    return {path.name for path in folder.iterdir() if path.suffix != ".part" or path.stat().st_size}


@pytest.mark.parametrize("sha256", ["", SHA256[:8], SHA256])
def test_a_file_comes_whole_and_once(tmp_path: Path, sha256: str) -> None:
    with serving(FileServer({"/a.pth": CONTENT})) as server:
        assert download(f"{server.url}/a.pth", tmp_path / "new" / "a.pth", sha256=sha256) == SHA256
        assert download(f"{server.url}/a.pth", tmp_path / "new" / "a.pth", sha256=sha256) == ""
    assert (tmp_path / "new" / "a.pth").read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert left(tmp_path / "new") == {"a.pth"}


def test_cut_connections_go_on_from_where_they_ended(tmp_path: Path) -> None:
    with serving(FileServer({"/a.pth": CONTENT}, cut_after=[10_000, 1_000, 5_000])) as server:
        assert download(f"{server.url}/a.pth", tmp_path / "a.pth") == SHA256
    assert [asked for _, asked in server.asked] == ["", "bytes=10000-", "bytes=11000-", "bytes=16000-"]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_anew(tmp_path: Path) -> None:
    with serving(FileServer({"/a.pth": CONTENT}, cut_after=[20_000], ranges=False)) as server:
        assert download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=SHA256) == SHA256
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_a_connection_that_is_always_cut_ends_in_a_sentence(tmp_path: Path) -> None:
    server = FileServer({"/a.pth": CONTENT}, cut_after=[9_000] + [0] * 20)
    with serving(server), pytest.raises(InputError, match=r"/a.pth: no connection that lasts \(.+\); 9,000 bytes came"):
        download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=SHA256[:8])
    assert left(tmp_path) == {".a.pth.part"}
    with serving(FileServer({"/a.pth": CONTENT})) as server:  # the next day
        assert download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=SHA256[:8]) == SHA256
    assert server.asked == [("/a.pth", "bytes=9000-")]
    assert left(tmp_path) == {"a.pth"}


def test_where_nothing_is_known_of_it_another_process_begins_anew(tmp_path: Path) -> None:
    (tmp_path / ".a.pth.part").write_bytes(b"of another version")
    with serving(FileServer({"/a.pth": CONTENT})) as server:
        download(f"{server.url}/a.pth", tmp_path / "a.pth", resume=False)
    assert server.asked == [("/a.pth", "")]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_what_had_come_whole_is_only_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".a.pth.part").write_bytes(CONTENT)
    with serving(FileServer({"/a.pth": CONTENT})) as server:
        assert download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=SHA256) == SHA256


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT[:5_000], b"<html>Not here</html>"])
def test_another_content_than_the_publishers_is_refused(tmp_path: Path, content: bytes) -> None:
    with (
        serving(FileServer({"/a.pth": content})) as server,
        pytest.raises(InputError, match=f"{hashlib.sha256(content).hexdigest()}, and {SHA256[:8]} is the publisher's"),
    ):
        download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=SHA256[:8])
    assert left(tmp_path) == set()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with serving(FileServer({})) as server, pytest.raises(InputError, match=r"/a.pth: the server answers 404"):
        download(f"{server.url}/a.pth", tmp_path / "a.pth")
    with pytest.raises(InputError, match="no connection that lasts"):
        download("http://127.0.0.1:9/a.pth", tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()


def test_two_processes_at_once_download_once(tmp_path: Path) -> None:
    with serving(FileServer({"/a.pth": CONTENT}, seconds=1)) as server:
        both = [
            multiprocessing.get_context("spawn").Process(
                target=download, args=(f"{server.url}/a.pth", tmp_path / "a.pth")
            )
            for _ in range(2)
        ]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(server.asked) == 1
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_a_killed_process_leaves_what_the_next_goes_on_from(tmp_path: Path) -> None:
    many = CONTENT * 1000  # more than the ten million bytes that are written at once
    digest = hashlib.sha256(many).hexdigest()
    with serving(FileServer({"/a.pth": many}, cut_after=[15_000_000])) as server:
        process = multiprocessing.get_context("spawn").Process(
            target=download, args=(f"{server.url}/a.pth", tmp_path / "a.pth"), kwargs={"sha256": digest}
        )
        process.start()
        part = tmp_path / ".a.pth.part"
        until(lambda: part.exists() and part.stat().st_size)  # the connection is cut, and it rests for a second
        process.kill()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        came = part.stat().st_size
        download(f"{server.url}/a.pth", tmp_path / "a.pth", sha256=digest)
    assert server.asked == [("/a.pth", ""), ("/a.pth", f"bytes={came}-")]
    assert (tmp_path / "a.pth").read_bytes() == many


def test_whoever_comes_while_a_file_gets_its_name_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads at once, of which the first rests before and after the part becomes the file."""
    replace = os.replace

    def slowly(source: Path, target: Path) -> None:
        time.sleep(0.1)
        replace(source, target)
        time.sleep(0.1)

    monkeypatch.setattr("pipeline.files.download.os.replace", slowly)
    with serving(FileServer({"/a.pth": CONTENT})) as server, ThreadPoolExecutor(8) as pool:

        def later(number: int) -> str:
            time.sleep(0.03 * number)
            return download(f"{server.url}/a.pth", tmp_path / "a.pth")

        found = list(pool.map(later, range(12)))
    assert sorted(found) == [*[""] * 11, SHA256]
    assert len(server.asked) == 1
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_progress_is_shown_on_a_terminal_and_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = {}
    with serving(FileServer({"/a.pth": CONTENT})) as server:
        for name, stream in (("terminal", Terminal()), ("file", io.StringIO())):
            with redirect_stderr(stream):
                download(f"{server.url}/a.pth", tmp_path / name)
            shown[name] = stream.getvalue()
    assert "30.0k/30.0k" in shown["terminal"]
    assert "terminal" in shown["terminal"]
    assert shown["file"] == ""
    assert progress._line is None


@pytest.mark.parametrize(
    ("url", "digits"),
    [
        ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"),
        ("https://download.pytorch.org/models/mnasnet0.5_top1_67.823-3ffadc67.pth", "3ffadc67"),
        ("https://example.org/rgb_imagenet.pt", ""),
        ("https://example.org/model-20201016.safetensors", "20201016"),
    ],
)
def test_digits_in_names(url: str, digits: str) -> None:
    assert digits_in(url) == digits
