from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.errors import MetricUnavailable
from evaluation.metrics.jars import CORENLP, RHINO, Jar, jars_in

BODY = b"what a jar holds" * 1000
JAR = Jar("org.some", "thing", "1.2", len(BODY), hashlib.sha256(BODY).hexdigest(), "models")
PLAIN = Jar("org.some", "thing", "1.2", len(BODY), hashlib.sha256(BODY).hexdigest())


class Repository(ThreadingHTTPServer):
    """A Maven repository whose every file is BODY."""

    body = BODY

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/maven2"


class Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_jars_are_fetched_from_where_maven_keeps_them_and_only_once(
    repository: Repository, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    for _ in range(2):
        paths = jars_in(
            tmp_path / "jars",
            [PLAIN, JAR],
            f"{repository.url}/",
            on_bytes=lambda have, size: told.append((have, size)),
        )
        assert [path.read_bytes() for path in paths] == [BODY, BODY]
    assert told[-1] == (len(BODY), len(BODY))
    assert repository.asked == [
        "/maven2/org/some/thing/1.2/thing-1.2.jar",
        "/maven2/org/some/thing/1.2/thing-1.2-models.jar",
    ]


def test_the_coordinates_are_those_of_the_parser() -> None:
    assert [jar.path for jar in CORENLP] == [
        "edu/stanford/nlp/stanford-corenlp/3.6.0/stanford-corenlp-3.6.0.jar",
        "edu/stanford/nlp/stanford-corenlp/3.6.0/stanford-corenlp-3.6.0-models.jar",
    ]
    assert [jar.name for jar in RHINO] == ["rhino-1.7.15.jar", "rhino-engine-1.7.15.jar"]


def test_those_who_need_the_same_jar_at_once_fetch_it_once(
    repository: Repository, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(jars_in, tmp_path, [JAR], repository.url) for _ in range(4)]
    assert {job.result()[0].read_bytes() for job in jobs} == {BODY}
    assert len(repository.asked) == 1


def test_a_jar_put_there_by_hand_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / JAR.name).write_bytes(BODY)
    tmp_path.chmod(0o555)
    assert jars_in(tmp_path, [JAR], "http://127.0.0.1:9/none") == [tmp_path / JAR.name]


def test_a_jar_that_is_another_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.body = BODY[::-1]
    with pytest.raises(MetricUnavailable, match="sha256 differs"):
        jars_in(tmp_path, [JAR], repository.url)
    assert not (tmp_path / JAR.name).exists()


def test_out_of_reach_the_reason_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(MetricUnavailable) as raised:
        jars_in(tmp_path / "jars", [JAR], "http://127.0.0.1:port/maven2")
    for part in (JAR.path, f"put it into {tmp_path / 'jars'}", "MRAG_MAVEN_URL"):
        assert part in str(raised.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MetricUnavailable, match=r"file.* cannot be written .*MRAG_CACHE"):
        jars_in(tmp_path / "file" / "jars", [JAR], "http://127.0.0.1:9/none")


def test_without_a_repository_it_is_told_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MetricUnavailable, match=rf"{JAR.name}.*set MRAG_MAVEN_URL"):
        jars_in(tmp_path / "jars", [JAR], "")
