"""What every answer tells a browser."""

from __future__ import annotations

import pytest

from tests.server.conftest import MakeGuarded


def directives(policy: str) -> dict[str, list[str]]:
    parts = (part.split() for part in policy.split(";"))
    return {name: values for name, *values in parts}


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "127.0.0.1:8501", 200),
        ("/api/v1/search", "127.0.0.1:8501", 200),
        ("/media/x.png", "127.0.0.1:8501", 200),
        ("/_stcore/metrics", "127.0.0.1:8501", 404),
        ("/", "evil.example", 421),
    ],
)
def test_every_answer_has_them(guarded: MakeGuarded, path: str, host: str, status: int) -> None:
    answer = guarded().client.get(path, headers={"Host": host})
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=(self)" in answer.headers["Permissions-Policy"]
    assert "Strict-Transport-Security" not in answer.headers
    policy = directives(answer.headers["Content-Security-Policy"])
    assert policy["frame-ancestors"] == ["'none'"]


def test_pages_load_nothing_from_elsewhere(guarded: MakeGuarded) -> None:
    policy = directives(guarded().client.get("/").headers["Content-Security-Policy"])
    assert policy["default-src"] == ["'self'"]
    assert policy["object-src"] == ["'none'"]
    loaded = {value for values in policy.values() for value in values}
    assert {value for value in loaded if "//" in value} == {
        "ws://127.0.0.1:8501",
        "wss://127.0.0.1:8501",
    }
    assert "*" not in loaded


def test_data_and_uploads_run_nothing(guarded: MakeGuarded) -> None:
    app = guarded()
    for path in ("/api/v1/search", "/media/evil.svg"):
        policy = directives(app.client.get(path).headers["Content-Security-Policy"])
        assert policy["default-src"] == ["'none'"]
    assert "sandbox" in policy


def test_the_way_in_runs_nothing(guarded: MakeGuarded) -> None:
    page = guarded(keys=True).client.get("/", headers={"Accept": "text/html"})
    policy = directives(page.headers["Content-Security-Policy"])
    assert policy["default-src"] == ["'none'"]
    assert "script-src" not in policy
    assert policy["form-action"] == ["'self'"]
