"""The real server, pages and API and Streamlit's own routes: closed but to whoever may come in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from streamlit import config
from streamlit.runtime import Runtime

from engine.errors import InvalidInput
from engine.settings import read_settings
from server.asgi import build_app
from server.door import OPEN_PATHS, SIGN_IN_PATHS
from server.guard import sign_in_of
from service.access.keys import KeyRing
from tests.server.conftest import AT, AUTH, Configure
from tests.server.provider import CLIENT, CLIENT_SECRET, Provider, provider

HTML = {"Accept": "text/html"}
_EVERY = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")


@pytest.fixture(scope="module")
def signing() -> Iterator[Provider]:
    with provider() as made:
        yield made


@contextmanager
def served(home: Path, **settings: Any) -> Iterator[TestClient]:
    """The server as `mrag serve` builds it, run in this process."""
    given = read_settings({"home": home, "profile": "sample", **settings})
    app = build_app(given, address="127.0.0.1", port=8501, home_token=lambda: "")
    with TestClient(app, base_url=AT, follow_redirects=False) as client:
        yield client
    Runtime._instance = None


@pytest.fixture
def serve(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signed_by: Configure,
    signing: Provider,
    streamlit_as_it_was: None,
) -> Callable[..., Any]:
    """Serves an empty home behind a sign-in."""
    del streamlit_as_it_was  # afterwards
    monkeypatch.setenv("MRAG_HOME", str(tmp_path))
    monkeypatch.setenv("MRAG_PROFILE", "sample")

    def made(**settings: Any) -> Any:
        own = {"client_id": CLIENT, "client_secret": CLIENT_SECRET}
        signed_by({**AUTH, **own, "server_metadata_url": signing.metadata_url})
        return served(tmp_path, **settings)

    return made


def walk(routes: list[BaseRoute], under: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of all that can be asked, parameters as some text."""
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{under}{route.path}/x"
            yield from walk(list(route.routes or ()), under + route.path)
        elif isinstance(route, Route | APIRoute):
            path = under + "/".join(
                "x" if part.startswith("{") else part for part in route.path.split("/")
            )
            for method in route.methods or _EVERY:
                yield method, path
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", under + route.path
        else:  # FastAPI's: another kind fails here, so that it is not passed over
            router: Any = route
            yield from walk(router.original_router.routes, under + router.include_context.prefix)


def test_no_route_is_reached_before_signing_in(serve: Callable[..., Any]) -> None:
    with serve() as client:
        client.get("/")  # which builds it
        asked = set(walk(client.app._starlette_app.routes))
        paths = {path for _, path in asked}
        assert {
            "/_stcore/stream", "/_stcore/upload_file/x/x", "/media/x", "/component/x", "/x",
            "/metrics",
            "/mcp", "/api/v1/caption", "/api/v1/collections/x/pictures/x/thumbnail",
            "/api/openapi.json", "/oauth2callback",
        } <= paths  # fmt: skip
        reached = set()
        for method, path in asked:
            if method == "WEBSOCKET":
                with (
                    pytest.raises(WebSocketDenialResponse) as denied,
                    client.websocket_connect(path.join(("ws://127.0.0.1:8501", ""))),
                ):
                    pass
                assert denied.value.status_code == 401
                continue
            status = client.request(method, path).status_code
            closed = path.startswith(("/_stcore/metrics", "/_stcore/agent"))
            if status != (404 if closed else 401):
                reached.add(path)
        assert reached == {*OPEN_PATHS, *SIGN_IN_PATHS}


def sign_in(client: TestClient, signing: Provider, **claims: Any) -> None:
    signing.claims = {"email_verified": True, **claims}
    way = client.get("/sign-in?provider=").headers["Location"]
    back = signing.agree(client.get(way).headers["Location"])
    assert client.get(back).headers["Location"] == "/"


def test_one_signs_in_and_is_who_the_provider_says(
    serve: Callable[..., Any], signing: Provider
) -> None:
    with serve(admins="owner@example.org", readers="@example.org") as client:
        assert client.get("/", headers=HTML).status_code == 401
        sign_in(client, signing, email="Owner@example.org")
        assert "<title>Streamlit</title>" in client.get("/", headers=HTML).text
        assert client.get("/api/v1/collections").json() == {"collections": []}
        assert client.get("/metrics").status_code == 200
        with client.websocket_connect("ws://127.0.0.1:8501/_stcore/stream"):
            (session,) = Runtime.instance()._session_mgr.list_active_sessions()
            told = json.loads(str(session.session._user_info["mrag_visitor"]))
        assert told == {"name": "owner@example.org", "role": "admin", "by": "sign-in"}
        client.get("/auth/logout")
        assert client.get("/api/v1/collections").status_code == 401

        sign_in(client, signing, email="guest@example.org")
        assert client.get("/api/v1/collections").status_code == 200
        assert client.get("/metrics").status_code == 403
        making = client.post("/api/v1/collections", data={"name": "new"})
        assert making.status_code == 403
        assert "this needs write" in making.json()["detail"]
        assert client.delete("/api/v1/collections/x").status_code == 403
        client.get("/auth/logout")

        sign_in(client, signing, email="owner@example.org", email_verified=False)
        assert client.get("/", headers=HTML).status_code == 403
        client.get("/auth/logout")
        sign_in(client, signing, email="stranger@evil-example.org")
        page = client.get("/", headers=HTML)
        assert page.status_code == 403
        assert "stranger@evil-example.org" in page.text


def test_a_key_has_its_role_in_the_api(serve: Callable[..., Any], tmp_path: Path) -> None:
    with serve() as client:
        ring = KeyRing(tmp_path)
        by = {
            role: {"Authorization": f"Bearer {ring.add(role, role)}"}
            for role in ("read", "write", "admin")
        }
        wanted = {  # what the API answers to those who may, of what is not there
            ("GET", "/api/v1/collections"): (200, 200, 200),
            ("POST", "/api/v1/collections"): (403, 415, 415),
            ("POST", "/api/v1/collections/x/ingests"): (403, 415, 415),
            ("POST", "/api/v1/ingests/x/cancel"): (403, 404, 404),
            ("POST", "/api/v1/ingests/x/resume"): (403, 404, 404),
            ("DELETE", "/api/v1/collections/x"): (403, 403, 404),
            ("GET", "/metrics"): (403, 403, 200),
        }
        for (method, path), statuses in wanted.items():
            got = tuple(client.request(method, path, headers=by[role]).status_code for role in by)
            assert got == statuses, path


def test_streamlit_takes_uploads_as_large_as_the_settings_say(serve: Callable[..., Any]) -> None:
    with serve(max_upload_bytes=500 * 2**20):
        assert config.get_option("server.maxUploadSize") == 500
    with serve(max_upload_bytes=2**20 + 1):
        assert config.get_option("server.maxUploadSize") == 2


def test_a_sign_in_beside_the_program_counts_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed_by: Configure
) -> None:
    signed_by(None)
    settings = read_settings({"home": tmp_path})
    assert sign_in_of(settings) is None
    beside = tmp_path / "program" / "secrets.toml"
    beside.parent.mkdir()
    monkeypatch.setattr("server.guard.SECRETS_BESIDE", beside)
    beside.write_text("[auth")
    with pytest.raises(InvalidInput, match="cannot be read"):
        sign_in_of(settings)
    beside.write_text("[auth]\n" + "\n".join(f'{name} = "{value}"' for name, value in AUTH.items()))
    assert sign_in_of(settings) is not None
