"""Prompts: the nearest captions, put into words that a text model continues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args
from unicodedata import category

from engine.errors import InvalidInput
from engine.words import cut_to_fit

Order = Literal["nearest-first", "nearest-last"]

SLOT = "{captions}"

PAPER = (
    "Similar images have the following captions:\n{captions}\n"
    "A caption that describes this image is:"
)
SMALLCAP = "Similar images show\n\n{captions}\n\nThis image shows"
SUMMARISE = "Summarize these captions in one sentence:\n{captions}\nSummary:"

TEMPLATES: Mapping[str, str] = MappingProxyType(
    {"paper": PAPER, "smallcap": SMALLCAP, "summarise": SUMMARISE}
)
"""Template by name.

`paper`: after mRAG-gim (Jaiswal, Liu and Frommholz, CIKM 2025), which inserts the nearest
captions together with an instruction; its exact wording could not be checked, so the words
here are ours. `smallcap`: SmallCap (Ramos et al., CVPR 2023). `summarise`: asks for what the
captions have in common.
"""


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the captions that are really in it, nearest first."""

    text: str
    captions: tuple[str, ...]


def build_prompt(
    captions: Sequence[str],
    *,
    template: str = "paper",
    order: Order = "nearest-first",
    budget: int,
    count_tokens: Callable[[str], int],
) -> Prompt:
    """Put the captions (nearest first) into a template, one a line, within `budget` tokens.

    A caption that ends without punctuation gets a full stop: T5's tokenizers take line ends for
    spaces, and captions would run into each other.

    `template` is a key of TEMPLATES or a text with {captions} in it exactly once; other braces
    stand for themselves. White space inside a caption becomes single spaces, blank captions are
    left out. Captions are dropped whole: first those too long to fit even alone, then the
    farthest. Where none fits the nearest is cut to fit. Raises InvalidInput for a bad template
    or order, no captions, or a budget that the template itself takes up.
    """
    before, after = split_template(template)
    if order not in get_args(Order):
        raise InvalidInput(f"unknown order {order!r}; choose one of {', '.join(get_args(Order))}")
    lines = [line for line in (" ".join(caption.split()) for caption in captions) if line]
    if not lines:
        raise InvalidInput("a prompt needs at least one caption that is not blank; there is none")

    def render(kept: Sequence[str]) -> str:
        shown = kept if order == "nearest-first" else reversed(kept)
        return _framed(before, after, shown)

    def fits(kept: Sequence[str]) -> bool:
        return count_tokens(render(kept)) <= budget

    if not fits(lines):
        alone = [line for line in lines if fits([line])] or _cut(lines[0], fits)
        if not alone:
            raise InvalidInput(_too_small(before + after, budget, count_tokens))
        lines = alone[: _longest_prefix(alone, fits)]
    return Prompt(render(lines), tuple(lines))


def prompt_tokens(
    captions: Sequence[str], template: str, count_tokens: Callable[[str], int]
) -> int:
    """How long the prompt of all these captions would be."""
    lines = (" ".join(caption.split()) for caption in captions)
    return count_tokens(_framed(*split_template(template), (line for line in lines if line)))


def split_template(template: str) -> tuple[str, str]:
    """The text before and after the captions of a template; see `build_prompt`."""
    text = TEMPLATES.get(template, template)
    if text.count(SLOT) != 1:
        raise InvalidInput(
            f"the template {template!r} has {SLOT} {text.count(SLOT)} times; give one of "
            f"{', '.join(TEMPLATES)}, or a text with {SLOT} exactly once"
        )
    before, _, after = text.partition(SLOT)
    return before, after


def _framed(before: str, after: str, lines: Iterable[str]) -> str:
    return before + "\n".join(map(_sentence, lines)) + after


def _longest_prefix(lines: Sequence[str], fits: Callable[[Sequence[str]], bool]) -> int:
    """How many of the first lines fit; the first alone is known to."""
    low, high = 1, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(lines[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _cut(caption: str, fits: Callable[[Sequence[str]], bool]) -> list[str]:
    """The caption as far as it fits; nothing if not one letter of it does."""
    kept = cut_to_fit(caption, lambda begin: fits([begin]))
    return [kept] if kept else []


def _sentence(caption: str) -> str:
    return caption if category(caption[-1]) == "Po" else caption + "."


def _too_small(frame: str, budget: int, count_tokens: Callable[[str], int]) -> str:
    return (
        f"no caption fits the prompt's budget of {budget} tokens, of which the template takes "
        f"{count_tokens(frame)}; raise the budget, or shorten the template"
    )
