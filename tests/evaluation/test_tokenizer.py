from __future__ import annotations

import random

import pytest

from evaluation.metrics.tokenizer import tokenize

pytestmark = pytest.mark.usefixtures("java")

JUNK = [
    *"abcABC 019.,;:!?'\"`-_/\\<>()[]{}&#%$@*+=~^|",
    *"\t\r\n\x0b\x0c\x00\x1c\x1f\x7f\x85\xa0\xad\u2028\u2029\u200b\ufeff\ud800\uffff\u0301",
    *("&amp;", "<br/>", "<a href=", "...", "U.S.", "'s", "n't", "http://x", "@y", "p.m."),
    *("--", "1/2", "½", "``", "''", "-LRB-", ":-)", "日本", "😀", "é"),
]


def test_every_text_keeps_its_place_whatever_the_others_hold() -> None:
    rng = random.Random(0)
    texts = [
        f"marker{row} {''.join(rng.choices(JUNK, k=rng.randint(0, 12)))}" for row in range(5000)
    ]
    tokens = tokenize(texts, punctuation=True)
    assert [line.split()[0] for line in tokens] == [f"marker{row}" for row in range(5000)]


def test_marks_are_kept_or_dropped_and_letters_made_small() -> None:
    texts = ["A man's HAT, (red)!", "", "?", "She said: \"no\" -- 'twice'..."]
    assert tokenize(texts, punctuation=True) == [
        "a man 's hat , -lrb- red -rrb- !",
        "",
        "?",
        "she said : `` no '' -- ` twice ' ...",
    ]
    assert tokenize(texts, punctuation=False) == [
        "a man 's hat -lrb- red -rrb-",
        "",
        "",
        "she said no twice",
    ]


def test_line_breaks_within_a_text_are_spaces() -> None:
    [tokens] = tokenize(["a dog\r\non\u2028a\x0blawn"], punctuation=False)
    assert tokens == "a dog on a lawn"


def test_nothing_is_nothing() -> None:
    assert tokenize([], punctuation=True) == []
