"""Names and captions on one line, in the spelling of those who wrote them."""

from __future__ import annotations

import unicodedata

import pytest

from engine.legible import legible


@pytest.mark.parametrize(
    "text",
    [
        "Screenshot 2024-05-01 at 9.41.00\u202fAM.png",  # as macOS names them
        "یک گربه روی میز نشسته و می\u200cخوابد",  # Persian: a zero width non-joiner
        "a family \U0001f468\u200d\U0001f469\u200d\U0001f467 and a heart \u2764\ufe0f",
        "क्\u200dष, a joiner of Hindi",
        "ไทย\u200bไม่มีช่องว่าง, a break of Thai",
        "10\u00a0km\u3000赤い車",
        "a flag \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u200fשלום a mark that turns nothing",
    ],
)
def test_what_belongs_to_a_spelling_stays(text: str) -> None:
    assert legible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\nc\td", r"a\nb\r\nc\td"),
        ("\x1b]0;owned\x07\x9b31m", r"\x1b]0;owned\x07\x9b31m"),
        ("\u202egpj.exe \u2066a\u2069", r"\u202egpj.exe \u2066a\u2069"),
        ("one\u2028two\u2029three\x85four\0", r"one\u2028two\u2029three\x85four\x00"),
        ("caf\udce9", r"caf\udce9"),  # a byte of a file name that is no text
    ],
)
def test_what_steers_or_breaks_a_line_is_seen_as_such(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_no_control_and_no_line_break_is_left() -> None:
    every = legible("".join(map(chr, range(0x3000))))
    left = {unicodedata.category(char) for char in every} & {"Cc", "Cs", "Zl", "Zp"}
    assert not left
    assert len(every.splitlines()) == 1
