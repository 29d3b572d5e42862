"""How text that nobody vouches for (file names, captions) is shown to a person, on one line."""

from __future__ import annotations

import re

# Controls and line breaks, halves of characters, and what embeds, overrides or isolates a
# direction. All else is somebody's spelling: joiners of Persian, Hindi and emoji families,
# variation selectors, the narrow space in the names of macOS screenshots.
_STEERS = re.compile(r"[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")


def legible(text: str) -> str:
    r"""The text with what could break a line, steer a terminal or turn its order as `\n`, `\x1b`.

    For showing alone: what programs read (JSON, tables, the index) keeps the text as it is.
    """
    if text.isprintable():
        return text
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
