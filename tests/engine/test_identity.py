"""A picture is its content; a name stands for it only where the content is not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.identity import (
    UNKNOWN,
    PictureIdentity,
    Pictures,
    content_key,
    content_number,
    name_key,
    same_picture,
)

NAMES = st.frozensets(st.sampled_from(["", "a.jpg", "b.jpg", "c.jpg"]), max_size=3)
IDENTITIES = st.builds(PictureIdentity, st.sampled_from(["", "aa", "AA", "bb"]), NAMES)


@given(IDENTITIES, IDENTITIES)
def test_it_is_symmetric(a: PictureIdentity, b: PictureIdentity) -> None:
    assert same_picture(a, b) == same_picture(b, a)


@given(st.sampled_from(["aa", "bb"]), st.sampled_from(["aa", "AA", "bb"]), NAMES, NAMES)
def test_contents_decide_where_both_are_known(
    one: str, other: str, names: frozenset[str], others: frozenset[str]
) -> None:
    same = same_picture(PictureIdentity(one, names), PictureIdentity(other, others))
    assert same == (one == other.lower())


@given(st.sampled_from(["", "aa"]), NAMES, NAMES)
def test_else_a_shared_name_decides(
    content: str, names: frozenset[str], others: frozenset[str]
) -> None:
    same = same_picture(PictureIdentity(content, names), PictureIdentity("", others))
    assert same == bool((names & others) - {""})


@given(IDENTITIES)
def test_what_nothing_is_known_of_is_no_other(picture: PictureIdentity) -> None:
    assert not same_picture(picture, UNKNOWN)
    assert UNKNOWN.key == ""
    assert not UNKNOWN.keys


@given(IDENTITIES, st.sampled_from(["", "aa", "bb"]), st.sampled_from(["a.jpg", "d.jpg", ""]))
def test_captions_are_found_by_their_key(query: PictureIdentity, content: str, name: str) -> None:
    """Filed under a content or, without one, under a name: the key tells what the rule tells."""
    captioned = PictureIdentity(content, frozenset({name}) if name else frozenset())
    if query.sha256 or not content:
        assert (captioned.key in query.keys) == same_picture(captioned, query)


@given(st.lists(IDENTITIES, max_size=5), IDENTITIES)
def test_many_are_looked_up_as_one_by_one(
    pictures: list[PictureIdentity], sought: PictureIdentity
) -> None:
    assert (sought in Pictures(pictures)) == any(same_picture(sought, one) for one in pictures)


def test_keys_say_what_they_are() -> None:
    both = PictureIdentity("AB", frozenset({"z.jpg", "a.jpg"}))
    assert both.key == "sha256:ab" == content_key("ab")
    assert both.keys == {"sha256:ab", "name:a.jpg", "name:z.jpg"}
    assert PictureIdentity(names=both.names).key == "name:a.jpg" == name_key("a.jpg")
    assert name_key("") == ""
    assert content_number("AB") == content_number("ab") != content_number("ac")
