"""Nothing of the app is reached by somebody who may not, by whatever way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from engine.errors import InvalidInput
from tests.server.conftest import AT, AUTH, HOME_TOKEN, SECRET, Guarded, MakeGuarded

USER = "_streamlit_user"
HTML = {"Accept": "text/html,*/*"}
LISTS = {"admins": "owner@example.org", "writers": "@editors.example", "readers": "@example.org"}


def cookie(
    email: str = "owner@example.org", *, secret: str = SECRET, origin: str = AT, **claims: Any
) -> str:
    told = {"email": email, "email_verified": True, "origin": origin, "is_logged_in": True}
    return create_signed_value(secret, USER, json.dumps({**told, **claims})).decode()


def signed_in(guarded: Guarded, email: str = "owner@example.org", **claims: Any) -> Guarded:
    guarded.client.cookies.set(USER, cookie(email, **claims))
    return guarded


def refused_websocket(guarded: Guarded, headers: Mapping[str, str] | None = None) -> int:
    """The status with which a websocket stays closed."""
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        guarded.client.websocket_connect(f"{ws(guarded)}/_stcore/stream", headers=headers or {}),
    ):
        pass
    status: int = denied.value.status_code
    return status


def ws(guarded: Guarded) -> str:
    return str(guarded.client.base_url).replace("http", "ws", 1).rstrip("/")


def test_on_this_machine_nobody_is_asked(guarded: MakeGuarded) -> None:
    app = guarded()
    assert app.client.get("/api/v1/search").json()["by"] == "open"
    assert app.client.delete("/api/v1/collections/x").json()["role"] == "admin"
    with app.client.websocket_connect(f"{ws(app)}/_stcore/stream") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"


def test_from_the_first_key_on_everybody_is_asked(guarded: MakeGuarded) -> None:
    app = guarded()
    assert app.client.get("/api/v1/search").status_code == 200
    headers = app.key("write")
    assert app.client.get("/api/v1/search").status_code == 401
    told = app.client.get("/api/v1/search", headers=headers).json()
    assert (told["name"], told["role"], told["by"]) == ("bot", "write", "key")


def test_the_last_key_that_is_revoked_opens_nothing(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    app.ring.revoke("first")
    assert app.client.get("/api/v1/search").status_code == 401


@pytest.mark.parametrize("path", ["/", "/search", "/static/js/x.js", "/media/a.png", "/api/docs"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_without_a_key_nothing_is_reached(guarded: MakeGuarded, method: str, path: str) -> None:
    app = guarded(keys=True)
    assert app.client.request(method, path, headers=HTML).status_code == 401
    assert app.seen.paths == []
    assert refused_websocket(app) == 401


@pytest.mark.parametrize(
    "value",
    ["Bearer mrag_wrong", "Bearer ", "bearer", "Bearer \xff\xfe", "Bearer null", "Bearer " * 500],
)
def test_a_wrong_key_is_told_so(guarded: MakeGuarded, value: str) -> None:
    app = guarded(keys=True)
    answer = app.client.get("/api/v1/search", headers={b"Authorization": value.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401
    assert "none of the keys" in answer.json()["detail"]
    assert app.seen.paths == []


def test_a_wrong_key_is_not_made_good_by_a_cookie(guarded: MakeGuarded) -> None:
    app = signed_in(guarded(auth=AUTH, **LISTS))
    answer = app.client.get("/api/v1/search", headers={"Authorization": "Bearer mrag_wrong"})
    assert answer.status_code == 401


def test_the_owner_of_the_home_needs_no_key(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    headers = {"Authorization": f"Bearer {HOME_TOKEN}"}
    assert app.client.get("/api/v1/search", headers=headers).json()["by"] == "home"


def test_a_revoked_key_is_out_at_once_where_it_was_in(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    headers = app.key()
    with app.client.websocket_connect(f"{ws(app)}/_stcore/stream", headers=headers) as websocket:
        websocket.send_text("before")
        assert websocket.receive_text() == "before"
        app.ring.revoke("bot")
        websocket.send_text("after")
        with pytest.raises(WebSocketDisconnect):
            websocket.receive_text()
    assert app.client.get("/api/v1/search", headers=headers).status_code == 401


def test_events_end_with_the_key_that_asked_for_them(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    headers = app.key()
    whole = app.client.get("/api/v1/events", headers=headers).text
    assert whole.count("data:") == 1_000
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 10:
            app.ring.revoke("bot")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    raw = [(b"host", b"127.0.0.1"), (b"authorization", headers["Authorization"].encode())]
    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/events", "raw_path": b"", "headers": raw,
        "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 1), "server": None,
        "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    asyncio.run(app.client.app(scope, receive, send))  # type: ignore[arg-type]
    assert len(sent) == 11
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_keys_that_cannot_be_read_let_nobody_in_and_say_so(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    headers = app.key()
    app.ring.path.write_text("{")
    answer = app.client.get("/api/v1/search", headers=headers)
    assert answer.status_code == 503
    assert "log" in answer.json()["detail"]
    assert str(app.ring.path) not in answer.text
    token = headers["Authorization"].removeprefix("Bearer ")
    assert app.client.post("/enter", data={"key": token}).status_code == 503
    assert app.client.get("/api/v1/search").status_code == 401
    assert app.seen.paths == []
    owner = {"Authorization": f"Bearer {HOME_TOKEN}"}
    assert app.client.get("/api/v1/search", headers=owner).status_code == 200


def test_the_pages_take_a_key_and_then_a_cookie_that_no_script_reads(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    token = app.key("write")["Authorization"].removeprefix("Bearer ")
    page = app.client.get("/search?text=cat&k=5", headers=HTML)
    assert page.status_code == 401
    assert 'name="next" value="/search?text=cat&amp;k=5"' in page.text
    form = {"key": f" {token} ", "next": "/search?text=cat&k=5"}
    entered = app.client.post("/enter", data=form)
    assert entered.status_code == 303
    assert entered.headers["Location"] == "/search?text=cat&k=5"
    flags = entered.headers["Set-Cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    assert token not in flags
    assert app.client.get("/search", headers=HTML).text == "a page of the app"
    assert app.client.get("/api/v1/search").json()["role"] == "write"
    left = app.client.get("/leave")
    assert left.status_code == 303
    assert app.client.get("/search", headers=HTML).status_code == 401


def test_the_cookie_of_a_key_ends_with_it(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    token = app.key("admin")["Authorization"].removeprefix("Bearer ")
    app.client.post("/enter", data={"key": token})
    assert app.client.get("/api/v1/search").status_code == 200
    app.ring.revoke("bot")
    app.ring.add("bot", "admin")  # another one of that name
    assert app.client.get("/api/v1/search").status_code == 401


def test_a_cookie_that_another_server_signed_lets_nobody_in(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    (key,) = app.ring.all()
    for secret in ("", "x", SECRET):
        forged = URLSafeTimedSerializer(secret, salt="mrag_session").dumps(key.digest[:32])
        app.client.cookies.set("mrag_session", str(forged))
        assert app.client.get("/api/v1/search").status_code == 401


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", ""])
def test_nobody_is_sent_elsewhere_after_giving_a_key(guarded: MakeGuarded, back: str) -> None:
    app = guarded(keys=True)
    token = app.key()["Authorization"].removeprefix("Bearer ")
    entered = app.client.post("/enter", data={"key": token, "next": back})
    assert entered.headers["Location"] == "/"


def test_a_wrong_key_in_the_form_is_said_and_sets_nothing(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    answer = app.client.post("/enter", data={"key": "mrag_wrong", "next": '"><script>'})
    assert answer.status_code == 401
    assert "none of the keys" in answer.text
    assert "<script" not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert app.client.post("/enter", content=b"key=" + b"x" * 10_000).status_code == 401


def test_many_wrong_keys_are_slowed_down_and_right_ones_are_not(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    headers = app.key()
    wrong = {"Authorization": "Bearer mrag_wrong"}
    answers = [app.client.get("/api/v1/search", headers=wrong) for _ in range(25)]
    assert {answer.status_code for answer in answers[:20]} == {401}
    assert {answer.status_code for answer in answers[20:]} == {429}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert app.client.post("/enter", data={"key": "mrag_wrong"}).status_code == 429
    assert app.client.get("/api/v1/search", headers=headers).status_code == 200


def test_each_key_has_a_rate_of_its_own(guarded: MakeGuarded) -> None:
    app = guarded(keys=True, rate_limit="3/minute")
    one, other = app.key(name="one"), app.key(name="other")
    codes = [app.client.get("/api/v1/search", headers=one).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    late = app.client.get("/api/v1/search", headers=one)
    assert late.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert app.client.get("/api/v1/search", headers=other).status_code == 200
    assert app.client.get("/search", headers=one).status_code == 200  # pages are not counted


def test_a_rate_that_is_off_counts_nothing(guarded: MakeGuarded) -> None:
    app = guarded(keys=True, rate_limit="off")
    headers = app.key()
    assert {app.client.get("/api/v1/x", headers=headers).status_code for _ in range(9)} == {200}


# Sign-in


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("owner@example.org", "admin"),
        ("Anna@Editors.Example", "write"),
        ("guest@example.org", "read"),
    ],
)
def test_who_signed_in_has_the_role_of_the_lists(
    guarded: MakeGuarded, email: str, role: str
) -> None:
    app = signed_in(guarded(auth=AUTH, **LISTS), email)
    told = app.client.get("/api/v1/search").json()
    assert (told["role"], told["by"], told["name"]) == (role, "sign-in", email.lower())
    with app.client.websocket_connect(f"{ws(app)}/_stcore/stream") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"


def test_who_is_on_no_list_is_told_and_offered_to_sign_out(guarded: MakeGuarded) -> None:
    app = signed_in(guarded(auth=AUTH, **LISTS), "<b>@evil-example.org")
    page = app.client.get("/", headers=HTML)
    assert page.status_code == 403
    assert "/auth/logout" in page.text
    assert "<b>" not in page.text
    assert app.client.get("/api/v1/search").status_code == 403
    assert refused_websocket(app) == 403
    assert app.seen.paths == []


def hostile_cookies() -> dict[str, str]:
    valid = cookie()
    payload, signed = valid.rsplit(".", 2)[0], ".".join(valid.rsplit(".", 2)[1:])
    return {
        "empty": "",
        "no cookie": "x",
        "signed by another": cookie(secret="another secret of more than thirty-two letters"),
        "signed with nothing": cookie(secret=""),
        "of another salt": create_signed_value(SECRET, "_streamlit_user_tokens", "{}").decode(),
        "another payload": f"{cookie('x@example.org').rsplit('.', 2)[0]}.{signed}",
        "no signature": payload,
        "cut": valid[:-1],
        "swapped": valid.swapcase(),
        "of another server": cookie(origin="https://other.example"),
        "signed out": cookie(is_logged_in=False),
        "signed in as text": cookie(is_logged_in="false"),
        "not verified": cookie(email_verified=False),
        "without e-mail": cookie(email=""),
        "no object": create_signed_value(SECRET, USER, "[1]").decode(),
        "no JSON": create_signed_value(SECRET, USER, "{").decode(),
        "in parts": create_signed_value(SECRET, USER, "chunks-2").decode(),
    }


@pytest.mark.parametrize("kind", sorted(hostile_cookies()))
def test_a_cookie_that_is_not_the_sign_ins_lets_nobody_in(guarded: MakeGuarded, kind: str) -> None:
    app = guarded(auth=AUTH, **LISTS)
    headers = {"Cookie": f"{USER}={hostile_cookies()[kind]}"}
    assert app.client.get("/api/v1/search", headers=headers).status_code in {401, 403}
    assert refused_websocket(app, headers) in {401, 403}
    assert app.seen.paths == []


def test_parts_of_two_cookies_make_no_third(guarded: MakeGuarded) -> None:
    """Each part is signed, the whole is not: who signs in twice could choose among the parts."""
    app = guarded(auth=AUTH, **LISTS)
    whole = json.dumps(
        {"email": "owner@example.org", "email_verified": True, "origin": AT, "is_logged_in": True}
    )
    parts = {USER: "chunks-2", f"{USER}_1": whole[:30], f"{USER}_2": whole[30:]}
    for name, part in parts.items():
        app.client.cookies.set(name, create_signed_value(SECRET, name, part).decode())
    assert app.client.get("/api/v1/search").status_code == 401


def test_a_sign_in_ends(guarded: MakeGuarded, monkeypatch: pytest.MonkeyPatch) -> None:
    app = signed_in(guarded(auth=AUTH, **LISTS))
    assert app.client.get("/api/v1/search").status_code == 200
    later = TimestampSigner(SECRET).get_timestamp() + 32 * 24 * 3600
    monkeypatch.setattr("itsdangerous.timed.TimestampSigner.get_timestamp", lambda _self: later)
    assert app.client.get("/api/v1/search").status_code == 401


def test_a_cookie_of_the_sign_in_is_nothing_where_there_is_none(guarded: MakeGuarded) -> None:
    assert signed_in(guarded(keys=True)).client.get("/api/v1/search").status_code == 401


def test_the_way_in_needs_no_script_and_leads_to_the_provider(guarded: MakeGuarded) -> None:
    app = guarded(auth=AUTH, **LISTS)
    page = app.client.get("/compare", headers=HTML)
    assert page.status_code == 401
    assert "<script" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert 'action="/enter"' not in page.text  # there are no keys
    (way,) = map(unescape, re.findall(r'href="(/sign-in[^"]*)"', page.text))
    begun = app.client.get(way)
    assert begun.status_code == 303
    assert begun.headers["Location"].startswith("/auth/login?provider=")
    assert app.client.get("/sign-in?provider=nobody").headers["Location"] == "/"


def test_who_has_signed_in_comes_where_they_were_going(guarded: MakeGuarded) -> None:
    app = guarded(auth=AUTH, **LISTS)
    asked = "/search?q=a+cat&collection=plain"
    app.client.get("/sign-in", params={"provider": "", "next": asked})
    signed_in(app)
    arrived = app.client.get("/", headers=HTML)
    assert (arrived.status_code, arrived.headers["Location"]) == (303, asked)
    assert app.client.get("/", headers=HTML).status_code == 200  # and once


@pytest.mark.parametrize(
    "asked", ["/", "//evil.example", "https://evil.example", "/\\evil.example"]
)
def test_who_has_signed_in_is_sent_nowhere_else(guarded: MakeGuarded, asked: str) -> None:
    app = guarded(auth=AUTH, **LISTS)
    app.client.get("/sign-in", params={"provider": "", "next": asked})
    signed_in(app)
    assert app.client.get("/", headers=HTML).status_code == 200
    app.client.cookies.set("mrag_way", "%2F%2Fevil.example")
    assert app.client.get("/", headers=HTML).headers["Location"] == "/"


def test_both_ways_in_are_shown_where_there_are_both(guarded: MakeGuarded) -> None:
    app = guarded(auth=AUTH, keys=True)
    page = app.client.get("/", headers=HTML).text
    assert 'action="/enter"' in page
    assert "/sign-in" in page


def test_what_signing_in_needs_is_open_only_where_one_signs_in(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    assert app.client.get("/auth/login").status_code == 401
    app = guarded(auth=AUTH)
    assert app.client.get("/auth/login").status_code == 200
    assert app.client.post("/auth/login").status_code == 401
    assert app.client.get("/oauth2callback/../media/x").status_code == 401
    assert app.client.get("/auth/login/x").status_code == 401


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cookie_secret": ""}, "cookie_secret"),
        ({"cookie_secret": "short"}, "cookie_secret"),
        ({"redirect_uri": "pictures"}, "redirect_uri"),
        ({"client_id": None}, "provider"),
    ],
)
def test_a_sign_in_that_does_not_hold_is_not_served(
    guarded: MakeGuarded, changed: dict[str, str | None], said: str
) -> None:
    given = {**AUTH, **changed}
    with pytest.raises(InvalidInput, match=said):
        guarded(auth={name: value for name, value in given.items() if value is not None})


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("who", ["anybody", "signed in", "key"])
def test_another_sites_page_changes_nothing(
    guarded: MakeGuarded, headers: dict[str, str], who: str
) -> None:
    if who == "signed in":
        app = signed_in(guarded(auth=AUTH, **LISTS))
    else:
        app = guarded(keys=who == "key")
    if who == "key":
        token = app.key("admin")["Authorization"].removeprefix("Bearer ")
        app.client.post("/enter", data={"key": token})
        headers = {**headers, "Authorization": "Basic eDp4"}  # of a proxy, sent by the browser
    for method in ("POST", "PUT", "DELETE"):
        answer = app.client.request(method, "/api/v1/collections/x", headers=headers)
        assert answer.status_code == 403
        assert "Another site" in answer.json()["detail"]
    assert refused_websocket(app, headers) == 403
    assert app.seen.paths == []


def test_our_own_pages_and_programs_change_what_they_may(guarded: MakeGuarded) -> None:
    app = signed_in(guarded(auth=AUTH, keys=True, **LISTS))
    ours = {"Origin": AT, "Sec-Fetch-Site": "same-origin"}
    assert app.client.post("/api/v1/caption", headers=ours).status_code == 200
    assert app.client.post("/api/v1/caption").status_code == 200  # no browser
    app.client.cookies.clear()
    theirs = {"Origin": "https://evil.example", **app.key("write")}
    assert app.client.post("/api/v1/caption", headers=theirs).status_code == 200  # with the key


def test_nobody_sets_a_session_from_another_site(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    token = app.key()["Authorization"].removeprefix("Bearer ")
    headers = {"Origin": "https://evil.example"}
    answer = app.client.post("/enter", data={"key": token}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_who_is_visiting_is_not_believed_of_the_visitor(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    forged = {"X-Mrag-Visitor": '{"name": "x", "role": "admin", "by": "home"}'}
    told = app.client.get("/api/v1/search", headers={**app.key("read"), **forged}).json()
    assert json.loads(told["header"]) == {"name": "bot", "role": "read", "by": "key"}
    assert told["role"] == "read"


def test_no_other_page_may_call_the_api_unless_it_is_named(guarded: MakeGuarded) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    closed = guarded(keys=True)
    assert closed.client.options("/api/v1/caption", headers=asked).status_code == 401
    app = guarded(keys=False, cors_origins="https://app.example")
    before = app.client.options("/api/v1/caption", headers=asked)
    assert before.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in before.headers
    wrong = app.client.options(
        "/api/v1/caption", headers={**asked, "Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in wrong.headers
    called = app.client.post(
        "/api/v1/caption", headers={"Origin": "https://app.example", **app.key("write")}
    )
    assert called.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Origin" not in app.client.get("/", headers=asked).headers


# What is open, and what is nowhere


def test_the_health_check_is_open_to_be_looked_at(guarded: MakeGuarded) -> None:
    app = guarded(keys=True)
    assert app.client.get("/_stcore/health").status_code == 200
    assert app.client.get("/api/v1/health").status_code == 200
    assert app.client.put("/_stcore/health").status_code == 401
    assert app.client.get("/_stcore/health/x").status_code == 401


@pytest.mark.parametrize(
    "path", ["/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent/interact"]
)
def test_what_streamlit_tells_of_the_server_is_nowhere(guarded: MakeGuarded, path: str) -> None:
    app = guarded()
    for method in ("GET", "POST", "OPTIONS"):
        assert app.client.request(method, path).status_code == 404
    assert app.seen.paths == []
