"""`mrag serve`, as a process: pages and API at one address, one engine, and an end in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.collection import CollectionFolder
from engine.settings import SAMPLE_PACK
from ingest.jobs.records import JobRecords
from mrag_client.presence import running_server, server_file
from tests.worlds import copied_tree

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(sample_home: Path, tmp_path: Path) -> Path:
    """A home like the sample's, to change."""
    return copied_tree(sample_home, tmp_path / "home")


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the home, begun in another folder, and where it answers."""
    away = tmp_path / "away"
    away.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "MRAG_HOME": os.path.relpath(home, away), "MRAG_PROFILE": "sample",
        "PYTHONPATH": str(ROOT), "HOME": str(away), "PATH": "/usr/bin:/bin",
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "mrag", "serve", "--port", str(port)],
        cwd=away, env=environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("mRAG answers at "):
                assert not any("restart" in one for one in said), "there is nothing to do again"
                yield process, line.split()[3].rstrip(",")
                break
        else:
            pytest.fail("".join(said))
        process.kill()


def test_a_server_answers_at_every_door_and_ends_in_order(
    served: tuple[subprocess.Popen[str], str],
    home: Path,
    unknown_pictures: list[Path],
) -> None:
    process, address = served
    found = running_server(home)
    assert found is not None
    assert (found.address, found.pid) == (address, process.pid)
    owner = {"Authorization": f"Bearer {found.token}"}
    with httpx.Client(base_url=address, headers=owner, timeout=60) as client:
        for page in ("/", "/search", "/_stcore/health"):
            assert client.get(page).status_code == 200
        host_config = client.get("/_stcore/host-config").json()
        assert host_config, "pages are told how they are set"
        sent = [("image", ("a.webp", unknown_pictures[0].read_bytes(), "image/webp"))]
        (described,) = client.post("/api/v1/caption", files=sent).json()["results"]
        assert described["caption"]
        hit = client.get("/api/v1/search", params={"text": "a cat"}).json()["results"][0]["hits"][0]
        assert Path(hit["uri"]).is_file()
        assert client.get("/metrics").status_code == 200
        assert client.get("/api/v1/nothing").headers["content-type"] == "application/problem+json"
        # An ingest of a folder anywhere, as the owner may; it is still at work when the end comes.
        fields = {"name": "more", "source": str(SAMPLE_PACK / "plain" / "captions.jsonl")}
        begun = client.post("/api/v1/collections", data=fields)
        assert begun.status_code == 202, begun.text
        with client.stream("GET", f"/api/v1/ingests/{begun.json()['id']}/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: progress"
            process.send_signal(signal.SIGTERM)
            *_, last = (line for line in lines if line.startswith("data: "))
    assert json.loads(last.removeprefix("data: "))["state"] == "interrupted"
    assert process.wait(30) == 0
    assert not server_file(home).exists()
    (job,) = [job for job in JobRecords(home).read() if job.collection == "more"]
    assert job.state == "interrupted"
    assert CollectionFolder(home, "plain").exists()
