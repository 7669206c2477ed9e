"""A server of files that drops, stalls, refuses and changes what it has, as its fields say."""

from __future__ import annotations

import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path


def tar_gz(members: Mapping[str, bytes]) -> bytes:
    """A .tar.gz with these files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return whole.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A .zip with these files."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


class StoppedError(Exception):
    """The user wants no more."""


def stop_at(count: int) -> Callable[[int, int | None], None]:
    """Progress that is stopped by its user once so much is done."""

    def progress(done: int, total: int | None) -> None:
        if done >= count:
            raise StoppedError

    return progress


class FileServer:
    """Serves `files` by path, by ranges if asked, and notes each request. As a proxy it is asked
    for whole addresses, which are paths to it.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.validators = {"ETag": '"1"'}
        self.ranges = True
        self.heeds_if_range = True
        self.told_length = True
        self.cuts: list[int] = []
        """Bytes of the body to send before the connection is closed, request by request."""
        self.statuses: list[int] = []
        """What to answer instead of the file, request by request."""
        self.held: str | None = None
        """The path at which to hold, if only at one."""
        self.hold_at: int | None = None
        """Where in a file to stop sending, until `go` is set."""
        self.holding = threading.Event()
        self.go = threading.Event()
        self.asked: list[str] = []
        """Paths."""
        self.requests: list[Message] = []
        """Headers."""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ranges_asked_for(self) -> list[str | None]:
        return [request["Range"] for request in self.requests]

    def add(self, name: str, content: bytes) -> str:
        """Serve `content` at /`name`; where that is."""
        self.files[f"/{name}"] = content
        return f"{self.url}/{name}"

    def forget(self) -> None:
        """As if nothing had been asked for."""
        self.asked.clear()
        self.requests.clear()

    def asked_for(self) -> list[str]:
        """Paths that were asked for since the last call, in alphabetical order."""
        asked = sorted(self.asked)
        self.forget()
        return asked

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        files = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.asked.append(self.path)
                files.requests.append(self.headers)
                if files.statuses:
                    self.send_error(files.statuses.pop(0))
                elif self.path in files.files:
                    files._send(self, files.files[self.path])
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None: ...

        return Handler

    def _send(self, handler: http.server.BaseHTTPRequestHandler, content: bytes) -> None:
        size, asked, begin = len(content), handler.headers["Range"], 0
        fresh = handler.headers["If-Range"] in self.validators.values() or not self.heeds_if_range
        if self.ranges and asked is not None and fresh:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= size:
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{size}")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        else:
            handler.send_response(200)
        if self.told_length:
            handler.send_header("Content-Length", str(size - begin))
        for name, value in self.validators.items():
            handler.send_header(name, value)
        handler.end_headers()
        body = content[begin:]
        if self.cuts:
            body = body[: self.cuts.pop(0)]
        holds = self.hold_at is not None and self.held in (None, handler.path)
        held = max(0, self.hold_at - begin) if holds and self.hold_at is not None else len(body)
        handler.wfile.write(body[:held])
        if held < len(body):
            self.holding.set()
            self.go.wait()
            handler.wfile.write(body[held:])


class CocoServer(FileServer):
    """A folder in COCO's layout behind the paths of COCO's own server."""

    def __init__(self, folder: Path) -> None:
        pictures = {
            f"val2017/{file.name}": file.read_bytes() for file in (folder / "val2017").iterdir()
        }
        annotations = (folder / "annotations/instances_val2017.json").read_bytes()
        super().__init__({f"/{name}": data for name, data in pictures.items()})
        self.add("zips/val2017.zip", zipped(pictures))
        self.add(
            "annotations/annotations_trainval2017.zip",
            zipped(
                {"annotations/instances_val2017.json": annotations, "annotations/other.json": b"{}"}
            ),
        )
