from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.download import fetch
from engine.errors import DownloadFailed, Missing

BODY = bytes(range(256)) * 3000
OTHER = BODY[::-1]


@dataclass
class Server:
    """A server of one file whose every answer the test chooses; later answers are faithful."""

    body: bytes = BODY
    tag: str | None = '"one"'
    ranges: bool = True
    answers: list[Callable[[Handler], None]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ours: Server

    def do_GET(self) -> None:
        self.ours.asked.append(self.headers.get("Range", "all"))
        self.close_connection = True
        answer = self.ours.answers.pop(0) if self.ours.answers else faithful
        answer(self)

    def head(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if self.ours.tag:
            self.send_header("ETag", self.ours.tag)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def part_asked_for(handler: Handler) -> tuple[int, bytes]:
    """(status, bytes) of a right answer to the request."""
    server, wanted = handler.ours, handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    same = condition is None or (condition == server.tag and not condition.startswith("W/"))
    if not wanted or not server.ranges or not same:
        return 200, server.body
    return 206, server.body[int(wanted.removeprefix("bytes=").removesuffix("-")) :]


def faithful(handler: Handler, cut: int | None = None) -> None:
    status, content = part_asked_for(handler)
    total = len(handler.ours.body)
    start = total - len(content)
    more = {"Content_Range": f"bytes {start}-{total - 1}/{total}"} if status == 206 else {}
    handler.head(status, Content_Length=len(content), **more)
    handler.wfile.write(content[:cut])


def cut_after(count: int) -> Callable[[Handler], None]:
    return lambda handler: faithful(handler, cut=count)


def status(code: int) -> Callable[[Handler], None]:
    return lambda handler: handler.head(code, Content_Length=0)


def chunked(content: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.head(200, Transfer_Encoding="chunked")
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

    return answer


class Http(ThreadingHTTPServer):
    def handle_error(self, *_args: object) -> None:
        """A client that leaves early is what these tests are about."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    ours = Server()
    handler = type("Bound", (Handler,), {"ours": ours})
    with Http(("127.0.0.1", 0), handler) as http:
        ours.url = f"http://127.0.0.1:{http.server_port}/file.zip"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ours
        http.shutdown()
        thread.join()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def get(server: Server, target: Path, content: bytes = BODY) -> list[tuple[int, int]]:
    """Fetch, expecting that content; returns the progress that was told."""
    told: list[tuple[int, int]] = []
    fetch(
        server.url,
        target,
        size=len(content),
        checksum=sha256(content),
        by_hand="put it there",
        on_bytes=lambda have, size: told.append((have, size)),
        first_wait=0.001,
    )
    assert target.read_bytes() == content
    assert names(target.parent) == [target.name]  # nothing is left over
    return told


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "file.zip"


def left_over(target: Path) -> bytes:
    """What waits for the next run; the file itself must not be there."""
    assert not target.exists()
    part = target.with_name("file.zip.part")
    return part.read_bytes() if part.exists() else b""


def test_a_file_is_fetched_with_progress_and_only_once(server: Server, target: Path) -> None:
    told = get(server, target)
    assert told[-1] == (len(BODY), len(BODY))
    assert [have for have, _ in told] == sorted(have for have, _ in told)
    assert get(server, target) == []
    assert server.asked == ["all"]


def test_a_cut_connection_goes_on_where_it_was(server: Server, target: Path) -> None:
    server.answers = [cut_after(300_000), cut_after(200_000), cut_after(0)]
    get(server, target)
    assert server.asked == ["all", "bytes=300000-", "bytes=500000-", "bytes=500000-"]


def test_a_weak_tag_is_not_used_to_resume(server: Server, target: Path) -> None:
    server.tag = 'W/"one"'
    server.answers = [cut_after(300_000)]
    told = get(server, target)
    assert server.asked == ["all", "bytes=300000-"]
    assert told == sorted(told, key=lambda step: step[0])  # it never began again


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_busy_server_is_asked_again(server: Server, target: Path, code: int) -> None:
    server.answers = [status(code), cut_after(1000), status(code)]
    get(server, target)
    assert len(server.asked) == 4


def test_a_server_that_stays_down_ends_with_what_to_do(server: Server, target: Path) -> None:
    server.answers = [cut_after(1000)] + [status(503)] * 20
    with pytest.raises(DownloadFailed, match="6 attempts") as failed:
        get(server, target)
    assert len(server.asked) == 6
    for part in (server.url, "503", "1,000 of 768,000 bytes are kept", "elsewhere, put it there"):
        assert part in str(failed.value)
    assert left_over(target) == BODY[:1000]
    server.answers = []
    get(server, target)
    assert server.asked[-1] == "bytes=1000-"


def test_many_cuts_are_borne_as_long_as_each_connection_brings_something(
    server: Server, target: Path
) -> None:
    server.body = BODY * 20
    server.answers = [cut_after(2**20 + 1)] * 13
    get(server, target, BODY * 20)
    assert len(server.asked) == 14


def test_a_server_that_is_not_there(server: Server, target: Path) -> None:
    server.url = "http://127.0.0.1:9/file.zip"  # the discard port
    with pytest.raises(Missing, match="6 attempts in a row failed, the last with: ConnectError"):
        get(server, target)


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_is_not_asked_again(server: Server, target: Path, code: int) -> None:
    server.answers = [status(code)] * 5
    with pytest.raises(DownloadFailed, match=f"answered {code}"):
        get(server, target)
    assert len(server.asked) == 1


def test_a_server_without_ranges_starts_again_cleanly(server: Server, target: Path) -> None:
    server.ranges = False
    server.answers = [cut_after(300_000), cut_after(100_000)]
    get(server, target)
    assert len(server.asked) == 3


def test_content_that_changes_between_resumes_is_not_joined(server: Server, target: Path) -> None:
    server.body = OTHER
    server.answers = [cut_after(300_000)] + [status(500)] * 5
    with pytest.raises(DownloadFailed):
        get(server, target)
    server.body, server.tag = BODY, '"two"'
    get(server, target)
    assert server.asked[-1] == "bytes=300000-"  # asked for the rest, given the whole


def test_content_that_changes_unsaid_is_fetched_again(server: Server, target: Path) -> None:
    server.tag = None
    server.body = OTHER
    server.answers = [cut_after(300_000)] + [status(500)] * 5
    with pytest.raises(DownloadFailed):
        get(server, target)
    server.body = BODY
    get(server, target)
    assert server.asked[-2:] == ["bytes=300000-", "all"]


def test_a_wrong_checksum_leaves_nothing(server: Server, target: Path) -> None:
    server.body = OTHER
    with pytest.raises(DownloadFailed, match=r"not the file expected \(its sha256 differs\)"):
        get(server, target)
    assert names(target.parent) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"x", b"<html>Log in</html>"])
def test_a_file_of_another_length_is_refused_and_what_was_there_is_kept(
    server: Server, target: Path, body: bytes
) -> None:
    target.parent.mkdir()
    target.with_name("file.zip.part").write_bytes(BODY[:500])
    server.body, server.ranges = body, False
    with pytest.raises(DownloadFailed, match=rf"offers {len(body)} bytes where .* 768000"):
        get(server, target)
    assert left_over(target) == BODY[:500]


def test_a_rest_of_another_length_is_refused(server: Server, target: Path) -> None:
    server.answers = [cut_after(1000)]
    server.answers.append(lambda handler: handler.head(206, Content_Range="bytes 0-9/10"))
    with pytest.raises(DownloadFailed, match=r"offers bytes 0-9/10 where"):
        get(server, target)
    assert left_over(target) == BODY[:1000]


def test_a_body_longer_than_it_should_be_is_not_stored(server: Server, target: Path) -> None:
    server.answers = [chunked(BODY + b"more")]
    with pytest.raises(DownloadFailed, match="more than the 768,000 bytes"):
        get(server, target)
    assert left_over(target) == b""


def test_a_body_shorter_than_it_should_be_is_gone_on_with(server: Server, target: Path) -> None:
    server.answers = [chunked(BODY[:1000])]
    get(server, target)
    assert server.asked == ["all", "bytes=1000-"]


def test_a_length_that_is_a_lie_does_not_hang_or_pass(server: Server, target: Path) -> None:
    def lie(handler: Handler) -> None:
        handler.head(200, Content_Length=len(BODY))
        handler.wfile.write(BODY[:1000])

    server.ranges = False
    server.answers = [lie] * 20
    with pytest.raises(DownloadFailed, match="6 attempts"):
        get(server, target)
    assert left_over(target) == BODY[:1000]


def test_what_an_earlier_run_left_damaged_is_fetched_again(server: Server, target: Path) -> None:
    target.parent.mkdir()
    for damaged in (b"\0" * 1000, b"\0" * len(BODY), b"\0" * (len(BODY) + 9)):
        target.with_name("file.zip.part").write_bytes(damaged)
        get(server, target)
        target.unlink()


def test_a_wrong_file_of_that_name_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(OTHER)
    get(server, target)


def test_redirects_are_followed(server: Server, target: Path) -> None:
    server.answers = [lambda handler: handler.head(302, Location="/other", Content_Length=0)]
    get(server, target)


def test_a_disk_too_small_is_said_before_anything_is_fetched(server: Server, target: Path) -> None:
    with pytest.raises(DownloadFailed, match="1,152,921,504,606,846,976 bytes are needed"):
        fetch(server.url, target, size=2**60, checksum=sha256(b""), by_hand="put it there")
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_full_disk_is_said(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name("file.zip.part").symlink_to("/dev/full")
    with pytest.raises(DownloadFailed, match="the disk is full"):
        get(server, target)
    assert not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_goes_on_where_it_was(server: Server, target: Path) -> None:
    stuck = threading.Event()

    def stall(handler: Handler) -> None:
        faithful(handler, cut=600_000)
        handler.wfile.flush()
        stuck.wait(30)

    server.answers = [stall]
    arguments = f"{server.url!r}, Path({str(target)!r}), size={len(BODY)}, checksum='sha256:0'"
    code = (
        "from pathlib import Path; from engine.download import fetch; "
        f"fetch({arguments}, by_hand='')"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root) as run:
        part = target.with_name("file.zip.part")
        for _ in range(2000):
            if part.exists() and part.stat().st_size >= 500_000:
                break
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    stuck.set()
    kept = len(left_over(target))
    assert kept >= 500_000
    get(server, target)
    assert server.asked == ["all", f"bytes={kept}-"]
