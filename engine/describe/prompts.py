"""Prompts: the nearest captions, put into words that a text model continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from engine.errors import InvalidInput

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

    `template` is a key of TEMPLATES or a text with {captions} in it exactly once; other braces
    stand for themselves. White space inside a caption becomes single spaces, blank captions are
    left out. Captions are dropped whole: first those too long to fit even alone, then the
    farthest. Raises InvalidInput for a bad template or order, no captions, or none that fits.
    """
    before, after = split_template(template)
    if order not in get_args(Order):
        raise InvalidInput(f"unknown order {order!r}; choose one of {', '.join(get_args(Order))}")
    lines = [line for line in (" ".join(caption.split()) for caption in captions) if line]
    if not lines:
        raise InvalidInput("a prompt needs at least one caption that is not blank; there is none")

    def render(kept: Sequence[str]) -> str:
        shown = kept if order == "nearest-first" else reversed(kept)
        return before + "\n".join(shown) + after

    def fits(kept: Sequence[str]) -> bool:
        return count_tokens(render(kept)) <= budget

    if not fits(lines):
        alone = [line for line in lines if fits([line])]
        if not alone:
            raise InvalidInput(_too_small(before + after, lines[0], budget, count_tokens))
        lines = alone[: _longest_prefix(alone, fits)]
    return Prompt(render(lines), tuple(lines))


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


def _too_small(frame: str, nearest: str, budget: int, count_tokens: Callable[[str], int]) -> str:
    return (
        f"no caption fits the prompt's budget of {budget} tokens: the template takes "
        f"{count_tokens(frame)} and the nearest caption {count_tokens(nearest)}; "
        "raise the budget, or shorten the template or the captions"
    )
