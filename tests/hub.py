"""A stand-in for the model hub: it speaks as the hub does, on this machine, in any weather."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from engine.disk import in_words

COMMIT = "c0ffee" + "0" * 34
LARGE = 5000
"""Files of so many bytes are named by their SHA-256 and come from another host, as on the hub."""
FOR_EVER = 10**9


@dataclass
class Weather:
    """What happens to the next requests of a file instead of an answer, or on the way of it."""

    status: int = 200
    cut: int | None = None
    wrong: bool = False
    bytes_per_s: int = 0
    code: str = ""
    times: int = FOR_EVER


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    range: str
    token: str


@dataclass
class ModelHub:
    """Repositories of files (name -> bytes, or a file of this machine), and the weather.

    Weather is by place: "api", "HEAD", "GET" or one of these and a file's name, as "GET a.json".
    """

    repositories: dict[str, dict[str, bytes | Path]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    weather: dict[str, Weather] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    endpoint: str = ""

    def add_folder(self, repository: str, folder: Path) -> None:
        self.repositories[repository] |= {path.name: path for path in folder.iterdir()}

    def environment(self, home: Path) -> dict[str, str]:
        """For a process of its own that shall know this hub, and no cache but one in `home`."""
        return {
            "HF_HOME": str(home),
            "HF_ENDPOINT": self.endpoint,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def size(self, repository: str, *names: str) -> str:
        """How large a repository is, or these files of it, as a person says it."""
        files = self.repositories[repository]
        return in_words(sum(_size(files[name]) for name in names or files))

    def sent(self, name: str) -> list[Asked]:
        """The requests for a file's bytes."""
        return [one for one in self.asked if one.method == "GET" and one.path.endswith(name)]

    def take_weather(self, *places: str) -> Weather:
        for place in places:
            found = self.weather.get(place)
            if found and found.times:
                found.times -= 1
                return found
        return Weather()


def cache_folder(home: Path, repository: str) -> Path:
    return home / "hub" / f"models--{repository.replace('/', '--')}"


def sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _tag(content: bytes | Path) -> str:
    if _size(content) >= LARGE:
        return sha256(content)
    small = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(small) + small).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ModelHub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, wanted = unquote(urlsplit(self.path).path), self.headers.get("Range", "")
        token = self.headers.get("Authorization", "")
        self.hub.asked.append(Asked(self.command, path, wanted, token))
        if path.startswith("/api/models/"):
            repository = path.removeprefix("/api/models/").partition("/revision/")[0]
            if self._is_fine(repository, None, self.hub.take_weather("api")):
                self._send_card(repository)
            return
        repository, _, rest = path.removeprefix("/cdn").strip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        content = self.hub.repositories.get(repository, {}).get(name, b"")
        elsewhere = _size(content) >= LARGE and not path.startswith("/cdn/")
        # What is kept elsewhere has its weather there.
        calm = elsewhere and self.command == "GET"
        places = () if calm else (f"{self.command} {name}", self.command)
        weather = self.hub.take_weather(*places)
        if self._is_fine(repository, name, weather):
            self._send(content, weather, f"/cdn{path}" if elsewhere else "")

    def _is_fine(self, repository: str, name: str | None, weather: Weather) -> bool:
        """Whether there is an answer; else the refusal is sent."""
        files = self.hub.repositories.get(repository)
        if weather.status != 200:
            self._refuse(weather.status, weather.code)
        elif files is None:
            self._refuse(404, "RepoNotFound")
        elif name is not None and name not in files:
            self._refuse(404, "EntryNotFound")
        else:
            return True
        return False

    def _send_card(self, repository: str) -> None:
        files = self.hub.repositories[repository]
        siblings = [{"rfilename": name, "size": _size(files[name])} for name in files]
        card = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": len(card)})
        self.wfile.write(card)

    def _send(self, content: bytes | Path, weather: Weather, elsewhere: str) -> None:
        size, tag = _size(content), _tag(content)
        said: dict[str, str | int] = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'}
        if elsewhere:
            host = f"http://localhost:{urlsplit(self.hub.endpoint).port}"
            said |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": size, "Content-Length": 0}
            self._head(302, said | {"Location": f"{host}{elsewhere}"})
            return
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        said |= {"Accept-Ranges": "bytes", "Content-Length": size - start}
        if wanted:
            said["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._head(206 if wanted else 200, said)
        if self.command == "GET":
            self._write(content, start, weather)

    def _write(self, content: bytes | Path, start: int, weather: Weather) -> None:
        left = (_size(content) if weather.cut is None else weather.cut) - start
        step = max(1, weather.bytes_per_s // 10) if weather.bytes_per_s else 2**16
        with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            file.seek(start)
            while left > 0 and (piece := file.read(min(step, left))):
                self.wfile.write(bytes(len(piece)) if weather.wrong else piece)
                left -= len(piece)
                time.sleep(0.1 if weather.bytes_per_s else 0)

    def _refuse(self, status: int, code: str) -> None:
        said: dict[str, str | int] = {"Content-Length": 0, "X-Repo-Commit": COMMIT}
        self._head(status, said | ({"X-Error-Code": code} if code else {}))

    def _head(self, status: int, headers: dict[str, str | int]) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


class _Http(ThreadingHTTPServer):
    def handle_error(self, *_args: object) -> None:
        """A client that leaves early is part of the weather."""


@contextmanager
def serving(hub: ModelHub) -> Iterator[ModelHub]:
    """Answer for the hub at an address of this machine."""
    with _Http(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub})) as http:
        hub.endpoint = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    """The stand-in in place of the hub, for this process too, with an empty cache."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    home = tmp_path / "hf"
    with serving(ModelHub()) as there:
        monkeypatch.setattr(constants, "ENDPOINT", there.endpoint)
        template = there.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        yield there
    shutil.rmtree(home, ignore_errors=True)  # pytest keeps the rest
