"""The server file: what it says, who may read it, and that one server has a home to itself."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from engine.errors import InvalidInput, StoreLocked
from mrag_client.presence import Presence, running_server, server_file
from server.presence import announce, new_token, only_server, withdraw
from server.running import listening


def presence(pid: int = 0) -> Presence:
    return Presence(
        address="http://127.0.0.1:8501", token=new_token(), pid=pid or os.getpid(), version="1"
    )


def test_only_its_owner_reads_what_the_file_says(tmp_path: Path) -> None:
    told = presence()
    announce(tmp_path, told)
    assert running_server(tmp_path) == told
    assert stat.S_IMODE(server_file(tmp_path).stat().st_mode) == 0o600
    assert len(told.token) > 40
    assert told.token != presence().token
    withdraw(tmp_path, presence())
    assert running_server(tmp_path) == told, "it is another server's"
    withdraw(tmp_path, told)
    assert not server_file(tmp_path).exists()
    assert list(tmp_path.iterdir()) == []


def test_the_second_server_of_a_home_says_who_runs(tmp_path: Path) -> None:
    with only_server(tmp_path):
        with pytest.raises(StoreLocked, match="is starting"), only_server(tmp_path):
            pass
        announce(tmp_path, presence())
        said = rf"runs already, at http://127\.0\.0\.1:8501 \(process {os.getpid()}\)"
        with pytest.raises(StoreLocked, match=said), only_server(tmp_path):
            pass
    with only_server(tmp_path / "another" / "home"):
        pass


def test_what_a_killed_server_left_is_passed_over(tmp_path: Path) -> None:
    announce(tmp_path, presence())  # of a process that runs, which is another one now
    with only_server(tmp_path):
        assert not server_file(tmp_path).exists()


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match="name a free port with --port"):
            listening("127.0.0.1", port)
    with pytest.raises(InvalidInput, match="an address of this machine"):
        listening("no such host.invalid", 0)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
