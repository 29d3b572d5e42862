"""Cuts a description to what a screen reader should say of a picture."""

from __future__ import annotations

import regex

AIM, MOST = 125, 250
"""What IPTC advises for alternative text: about so many characters, never more than these."""

_LEAST = 40
"""A sentence that ends before is hardly one: "Dr.", "No. 7"."""

_ELLIPSIS = "…"
_SENTENCE = regex.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”）]*")
_CHARACTER = regex.compile(r"\X")


def alt_text(description: str) -> str:
    """The description on one line, whole if it is short, else to the end of a sentence or word.

    Where a sentence ends within the aim, up to the last such end; else to the first end within the
    limit; else to the last whole word within the aim, which is shown by an ellipsis.
    """
    text = " ".join(description.split())
    if len(text) <= AIM:
        return text
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    if short := [end for end in ends if _LEAST <= end <= AIM]:
        return text[: short[-1]]
    if longer := [end for end in (*ends, len(text)) if AIM < end <= MOST]:
        return text[: longer[0]]
    return _words(text) + _ELLIPSIS


def _words(text: str) -> str:
    """The words within the aim; where no word ends there, as many characters."""
    room = AIM - len(_ELLIPSIS)
    whole = text[: room + 1].rpartition(" ")[0].rstrip(" ,;:–—-")
    if whole:
        return whole
    end = 0
    for found in _CHARACTER.finditer(text):
        if found.end() > room:
            break
        end = found.end()
    return text[: end or room]
