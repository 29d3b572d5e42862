"""`mrag app`: the server of the web app, as a process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from engine.collection import collection_names
from tests.cli.conftest import ROOT, call


@contextmanager
def serving(home: Path, cwd: Path, seconds: float = 60) -> Iterator[tuple[str, int]]:
    """The address and process id of `mrag app` started in another folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mrag", "app", "--port", str(port)],
        cwd=cwd,
        env={
            "MRAG_HOME": os.path.relpath(home, cwd), "PYTHONPATH": str(ROOT), "HOME": str(cwd),
            "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _await(f"{address}/_stcore/health", process, seconds)
        yield address, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _await(address: str, process: subprocess.Popen[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"mrag app ended: {process.communicate()[0]}")
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"{address} does not answer")


def test_the_app_answers_at_every_page_and_ends_when_it_is_told(home: Path, tmp_path: Path) -> None:
    with serving(home, tmp_path) as (address, pid):
        for page in ("", "search", "compare", "collections", "system"):
            assert "<title>" in httpx.get(f"{address}/{page}").text
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                httpx.get(f"{address}/_stcore/health")
            except httpx.TransportError:
                return
            time.sleep(0.1)
    pytest.fail("it goes on")


def test_a_port_that_is_taken_is_said(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = call(home, "app", "--port", str(taken.getsockname()[1]))
    assert (done.code, done.out) == (2, "")
    assert "name a free port with --port" in done.err


@pytest.mark.slow
def test_a_newcomer_gets_the_sample_collections_and_others_do_not(
    home: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "new", tmp_path, seconds=500):
        assert collection_names(tmp_path / "new") == ["plain", "postcards"]
    own = shutil.copytree(home, tmp_path / "own")
    with serving(own, tmp_path):
        assert collection_names(own) == ["plain"]
