"""Keeps text that nobody vouches for from being read as a model's control tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from engine.errors import InvalidInput

_ROUNDS = 8
"""Breaking one token may, in an odd vocabulary, leave another one; never so many."""


class PlainText:
    """Breaks what a tokenizer, or a processor, takes for a control token: "<image>" -> "< image>".

    So the text stays legible, and acts as text. Nothing else of it is changed.
    """

    def __init__(self, tokenizer: Any, also: Iterable[str] = ()) -> None:
        """`also`: words that stand for something before the tokenizer sees them."""
        added = {
            token.content: number
            for number, token in tokenizer.added_tokens_decoder.items()
            if number != tokenizer.unk_token_id and _is_control(token)
        }
        words = sorted({*added, *also}, key=len, reverse=True)
        self._tokenizer = tokenizer
        self._numbers = frozenset(added.values())
        self._pattern = re.compile("|".join(map(re.escape, words)) or r"\Z\A(?!)")

    def of(self, text: str) -> str:
        """The text without control tokens; who calls keeps other threads from the tokenizer.

        Raises InvalidInput where no space breaks them.
        """
        for _ in range(_ROUNDS):
            broken = self._pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
            broken = self._without_disguised(broken)
            if broken == text:
                return text
            text = broken
        raise InvalidInput("the text holds control tokens of the model that no space breaks")

    def _without_disguised(self, text: str) -> str:
        """The same for what is a control token only once the tokenizer has normalized it."""
        if not self._tokenizer.is_fast:
            return text
        read = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        places = zip(read["input_ids"], read["offset_mapping"], strict=True)
        for start, end in reversed([place for token, place in places if token in self._numbers]):
            cut = min(start + 1, max(start, end - 1))
            text = f"{text[:cut]} {text[cut:]}"
        return text


def _is_control(token: Any) -> bool:
    """Whether an added token is more than a word or white space that was given a number."""
    content: str = token.content
    return len(content) > 1 and bool(content.strip()) and (token.special or not content.isalnum())
