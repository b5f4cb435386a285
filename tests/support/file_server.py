"""Server of files on the loopback interface, which cuts connections, refuses and counts as a test wants."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """Files by their path on the server, and what it does with those who ask for them.

    Parameters
    ----------
    files : dict of str to bytes
        Content by path, such as "/weights.pth".
    cut_after : list of int
        Bytes after which the next responses end, one for each; further ones are whole.
    ranges : bool
        Whether it answers a request for a range with that range.
    seconds : float
        Time that each response takes.
    headers : dict of str to str
        Further headers of each response.

    Attributes
    ----------
    asked : list of (str, str)
        Path and range of each request for content so far.
    url : str
        Address, without a slash at its end.
    """

    files: dict[str, bytes]
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._begin(server.files.get(self.path), 0)

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.asked.append((self.path, asked))
            content = server.files.get(self.path)
            first = int(asked.removeprefix("bytes=").split("-")[0]) if asked and server.ranges else 0
            if not self._begin(content, first):
                return
            time.sleep(server.seconds)
            rest = content[first:]
            if server.cut_after:
                self.wfile.write(rest[: server.cut_after.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(rest)

        def _begin(self, content: bytes | None, first: int) -> bool:
            if content is None or first >= max(len(content), 1):
                self.send_response(404 if content is None else 416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            return True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
