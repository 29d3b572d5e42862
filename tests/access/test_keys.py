"""Keys: whole, secret, and gone at once when they are revoked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InvalidInput
from service.access.keys import PREFIX, Key, KeyRing
from service.access.visitor import ROLES, Role, Visitor

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


def found(ring: KeyRing, token: str) -> Visitor:
    key = ring.find(token)
    assert key is not None
    return key.visitor


def tokens_of(given: list[tuple[str, Role]], home: Path) -> dict[str, tuple[str, Role]]:
    return {KeyRing(home).add(name, role): (name, role) for name, role in given}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from(ROLES)), min_size=1, max_size=5, unique_by=lambda k: k[0]
    ),
    st.text(max_size=80),
)
def test_each_key_is_its_own_and_nothing_else_is_one(
    wanted: list[tuple[str, Role]], other: str
) -> None:
    with TemporaryDirectory() as folder:
        tokens = tokens_of(wanted, Path(folder))
        ring = KeyRing(Path(folder))
        for token, (name, role) in tokens.items():
            assert found(ring, token) == Visitor(name, role, "key")
            for near in (token[:-1], token + "A", token.swapcase(), token.removeprefix(PREFIX)):
                assert ring.find(near) is None
        if other not in tokens:
            assert ring.find(other) is None


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from(ROLES)), min_size=1, max_size=4, unique_by=lambda k: k[0]
    ),
    st.data(),
)
def test_a_revoked_key_is_nobodys_for_who_had_read_it_and_the_others_stay(
    wanted: list[tuple[str, Role]], data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        tokens = tokens_of(wanted, Path(folder))
        server = KeyRing(Path(folder))
        gone = data.draw(st.sampled_from(sorted(tokens)))
        assert server.find(gone)
        KeyRing(Path(folder)).revoke(tokens[gone][0])
        assert server.find(gone) is None
        assert all(server.find(token) for token in tokens if token != gone)
        assert server.is_used()


def test_what_is_kept_does_not_let_anybody_in(tmp_path: Path) -> None:
    token = KeyRing(tmp_path).add("bot", "read")
    kept = (tmp_path / "keys.json").read_text()
    assert token not in kept
    assert token.removeprefix(PREFIX) not in kept
    (key,) = KeyRing(tmp_path).all()
    assert KeyRing(tmp_path).find(key.digest) is None
    assert len(token) == len(PREFIX) + 43  # 256 bits


@pytest.mark.skipif(os.name == "nt", reason="files have no modes there")
def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    for name in ("a", "b"):
        ring.add(name, "read")
        assert ring.path.stat().st_mode & 0o777 == 0o600


def test_a_key_ends_when_it_was_said_to(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    token = ring.add("guest", "read", days=3)
    (key,) = ring.all()
    assert key.expires is not None
    assert (key.expires - key.made).days == 3
    assert ring.find(token)
    ended = json.loads(ring.path.read_text())
    ended["keys"][0]["expires"] = "2020-01-01T00:00:00+00:00"
    ring.path.write_text(json.dumps(ended))
    assert ring.find(token) is None


def emptied(_: str) -> str:
    return ""


def cut(text: str) -> str:
    return text[:-20]


def another_role(text: str) -> str:
    return text.replace('"read"', '"root"')


def no_digest(text: str) -> str:
    return text.replace('"digest": "', '"digest": "x')


def another_thing(text: str) -> str:
    return json.dumps(json.loads(text)["keys"])


@pytest.mark.parametrize("damage", [emptied, cut, another_role, no_digest, another_thing])
def test_a_damaged_file_lets_nobody_in_and_says_so(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    ring = KeyRing(tmp_path)
    token = ring.add("bot", "read")
    assert ring.find(token)
    ring.path.write_text(damage(ring.path.read_text()))
    for _ in range(2):  # and not only at first sight
        with pytest.raises(InvalidInput, match=r"keys\.json cannot be read"):
            ring.find(token)
    with pytest.raises(InvalidInput, match="cannot be read"):
        ring.add("other", "read")
    assert ring.is_used()


def test_a_folder_in_its_place_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        KeyRing(tmp_path).find("mrag_x")


def test_keys_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    start = Barrier(4)

    def make(number: int) -> None:
        start.wait()
        KeyRing(tmp_path).add(f"key-{number}", "read")

    threads = [Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key.name for key in KeyRing(tmp_path).all()] == [f"key-{n}" for n in range(4)]


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "x" * 64, "é", "a\n"])
def test_names_that_would_not_be_read_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a key"):
        KeyRing(tmp_path).add(name, "read")
    assert not KeyRing(tmp_path).is_used()


def test_a_name_is_given_once(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    ring.add("bot", "read")
    with pytest.raises(InvalidInput, match="there is a key 'bot'"):
        ring.add("bot", "admin")
    assert [key.role for key in ring.all()] == ["read"]


def test_a_home_without_keys_asks_for_none(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "new")
    assert not ring.is_used()
    assert ring.all() == ()
    assert ring.find("mrag_x") is None


def test_a_key_is_told_without_its_digest_in_no_message(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    ring.add("bot", "read")
    with pytest.raises(InvalidInput, match="there are: bot") as refused:
        ring.revoke("nobody")
    key: Key = ring.all()[0]
    assert key.digest not in str(refused.value)
