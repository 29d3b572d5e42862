"""`mrag keys`: made and shown once, listed without secrets, revoked."""

from __future__ import annotations

from pathlib import Path

from service.access.keys import KeyRing
from tests.cli.conftest import Run


def test_a_key_is_shown_once_and_lets_in_until_it_is_revoked(mrag: Run, tmp_path: Path) -> None:
    made = mrag("keys", "add", "bot", "--role", "read", "--expires", "30", at=tmp_path)
    token = made.out.strip()
    assert made.code == 0
    assert "not shown again" in made.err
    assert token not in made.err
    key = KeyRing(tmp_path).find(token)
    assert key is not None
    assert key.role == "read"

    listed = mrag("keys", "list", at=tmp_path)
    assert listed.out.startswith("bot ")
    assert "ends" in listed.out
    (told,) = mrag("keys", "list", "--json", at=tmp_path).answers
    assert set(told) == {"name", "role", "made", "expires", "expired"}
    assert key.digest not in listed.out

    assert mrag("keys", "revoke", "bot", at=tmp_path).code == 0
    assert KeyRing(tmp_path).find(token) is None


def test_json_gives_the_key_to_programs(mrag: Run, tmp_path: Path) -> None:
    (told,) = mrag("keys", "add", "bot", "--role", "write", "--json", at=tmp_path).answers
    assert KeyRing(tmp_path).find(told["key"])
    assert told["role"] == "write"


def test_what_cannot_be_done_is_said(mrag: Run, tmp_path: Path) -> None:
    assert "mrag keys add" in mrag("keys", "list", at=tmp_path).err
    refused = mrag("keys", "revoke", "bot", at=tmp_path)
    assert refused.code == 2
    assert "there is no key 'bot'" in refused.err
    (tmp_path / "keys.json").write_text("{")
    damaged = mrag("keys", "list", at=tmp_path)
    assert damaged.code == 2
    assert "cannot be read" in damaged.err
