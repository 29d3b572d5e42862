"""Who may do what of those who sign in."""

from __future__ import annotations

import pytest

from engine.errors import InvalidInput
from engine.settings import Settings, read_settings
from service.access.exposed import check_exposed, is_loopback
from service.access.roles import role_of
from service.access.visitor import ROLES, Role, Visitor

LISTS = {
    "admins": "Owner@Example.org",
    "writers": "editor@example.org, @editors.example",
    "readers": "@example.org, guest@other.example",
}


@pytest.fixture
def listed() -> Settings:
    return read_settings(LISTS)


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("owner@example.org", "admin"),
        ("OWNER@EXAMPLE.ORG", "admin"),
        ("editor@example.org", "write"),
        ("anybody@editors.example", "write"),
        ("anybody@example.org", "read"),
        ("guest@other.example", "read"),
        ("other@other.example", None),
        ("owner@evil-example.org", None),
        ("owner@example.org.evil.example", None),
        ("owner@sub.example.org", None),
        ("x@evil@example.org", None),
        ("owner@example.org ", None),
        ("owner@example.org\n", None),
        ("\u043ewner@example.org", None),  # a Cyrillic letter that looks like an o
        ("owner@ex\u0430mple.org", None),
        ("\uff4fwner@example.org", None),  # a full-width one
        ("\u212aey@example.org", None),  # the Kelvin sign, whose small letter is a k
        ("@example.org", None),
        ("example.org", None),
        ("", None),
        (None, None),
        (["owner@example.org"], None),
    ],
)
def test_roles_are_those_of_the_lists(listed: Settings, email: object, role: Role | None) -> None:
    assert role_of(email, True, listed) == role


@pytest.mark.parametrize("verified", [False, "false", 0, "no", "", []])
def test_an_email_that_is_not_verified_is_nobodys(listed: Settings, verified: object) -> None:
    assert role_of("owner@example.org", verified, listed) is None


def test_a_provider_that_says_nothing_of_it_is_believed(listed: Settings) -> None:
    assert role_of("owner@example.org", None, listed) == "admin"


def test_without_lists_everybody_reads_and_nobody_writes() -> None:
    settings = read_settings({})
    assert role_of("anybody@anywhere.example", True, settings) == "read"
    named = read_settings({"admins": "owner@example.org"})
    assert role_of("owner@example.org", True, named) == "admin"
    assert role_of("anybody@anywhere.example", True, named) == "read"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("admins", "@example.org"),  # a whole domain of admins is no name
        ("admins", "owner"),
        ("writers", "example.org"),
        ("readers", "*"),
        ("readers", "@ex\u0430mple.org"),
        ("hosts", "pictures.example.org:8501"),
        ("hosts", "https://pictures.example.org"),
        ("cors_origins", "*"),
        ("cors_origins", "https://example.org/path"),
        ("rate_limit", "a lot"),
    ],
)
def test_settings_that_name_nobody_are_told(setting: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"MRAG_{setting.upper()}"):
        read_settings({setting: value})


def test_roles_include_those_below() -> None:
    assert ROLES == ("read", "write", "admin")
    may = [[Visitor("x", role, "key").may(needed) for needed in ROLES] for role in ROLES]
    assert may == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_on_this_machine_nobody_need_be_asked(address: str) -> None:
    assert is_loopback(address)
    check_exposed(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "nas.local", "", "127.1.evil"])
def test_elsewhere_a_server_asks_or_does_not_start(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"mrag keys add .* MRAG_OPEN=1"):
        check_exposed(address)
    check_exposed(address, keys=True)
    check_exposed(address, sign_in=True)
    check_exposed(address, is_open=True)
    with pytest.raises(InvalidInput, match="mrag serve"):
        check_exposed(address, guarded=False, keys=True, sign_in=True, is_open=True)
