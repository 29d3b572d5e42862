"""A server is asked by its own names: not by a stranger's that points at it."""

from __future__ import annotations

import pytest
from starlette.testclient import WebSocketDenialResponse

from server.hosts import hosts_of, is_same_origin
from tests.server.conftest import AUTH, MakeGuarded


@pytest.mark.parametrize(
    "host", ["localhost:8501", "127.0.0.1", "[::1]:8501", "LOCALHOST", "[::1]"]
)
def test_this_machine_is_asked_by_its_own_names(guarded: MakeGuarded, host: str) -> None:
    answer = guarded().client.get("/api/v1/search", headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8501",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "0.0.0.0:8501",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/x",
        "localhost:99999",
        "localhost:x",
        "",
    ],
)
def test_another_name_is_answered_with_nothing_of_the_app(guarded: MakeGuarded, host: str) -> None:
    app = guarded()
    for path in ("/", "/api/v1/search", "/_stcore/health", "/enter"):
        answer = app.client.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "MRAG_HOSTS" in answer.text
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        app.client.websocket_connect("ws://127.0.0.1:8501/_stcore/stream", headers={"Host": host}),
    ):
        pass
    assert denied.value.status_code == 421
    assert app.seen.paths == []


def test_names_that_its_owner_gives_are_its_own(guarded: MakeGuarded) -> None:
    app = guarded(hosts="pictures.example.org, nas.local")
    for host, status in (
        ("pictures.example.org", 200),
        ("NAS.local:8501", 200),
        ("nas.local.", 200),
        ("x.nas.local", 421),
    ):
        assert app.client.get("/api/v1/x", headers={"Host": host}).status_code == status


def test_the_name_that_the_sign_in_comes_back_to_is_its_own(guarded: MakeGuarded) -> None:
    app = guarded(auth={**AUTH, "redirect_uri": "https://pics.example.org/oauth2callback"})
    page = app.client.get("/", headers={"Host": "pics.example.org", "Accept": "text/html"})
    assert page.status_code == 401


def test_on_every_address_a_server_has_those_of_its_machine_and_no_name() -> None:
    """An address cannot be made to point elsewhere; which ones a machine has is not known here."""
    hosts = hosts_of("0.0.0.0")
    assert hosts.allow("192.168.1.5:8501")
    assert hosts.allow("[fe80::1]:8501")
    assert hosts.allow("localhost")
    assert not hosts.allow("evil.example")
    assert not hosts.allow("192.168.1.5.evil.example")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8501", "localhost:8501", True),
        ("https://pics.example.org", "pics.example.org", True),  # behind what ends TLS
        ("https://pics.example.org", "PICS.example.org", True),
        ("http://localhost:3000", "localhost:8501", False),
        ("http://localhost", "localhost:8501", False),
        ("http://evil.example/localhost:8501", "localhost:8501", False),
        ("http://localhost:8501@evil.example", "localhost:8501", False),
        ("null", "localhost:8501", False),
        ("", "", False),
        ("file://", "", False),
    ],
)
def test_origins_are_compared_as_a_whole(origin: str, host: str, *, same: bool) -> None:
    assert is_same_origin(origin, host) is same
