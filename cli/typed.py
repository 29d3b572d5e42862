"""A command whose argument is typed text that may begin with a minus: `mrag search "-cat dog"`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

_OF_TEXT = frozenset(' \t\n:："“”')
"""Characters that stand in a search, and in no option that has its value attached."""


class TypedCommand(TyperCommand):
    """Takes what begins with a minus and is none of its options for its argument."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with such an argument where no option can be."""
        takes = {
            name: not getattr(param, "is_flag", False)
            for param in self.params
            for name in param.opts
            if name.startswith("-")
        }
        takes |= dict.fromkeys(ctx.help_option_names, False)
        return super().parse_args(ctx, text_last(args, takes))


def text_last(args: Sequence[str], takes: Mapping[str, bool]) -> list[str]:
    """The arguments with what is text, and no option, at their end, behind `--`.

    `takes`: of each option whether a value follows it. Raises BadParameter for what could be
    either.
    """
    options: list[str] = []
    texts: list[str] = []
    rest = iter(args)
    for one in rest:
        if one == "--":
            return [*options, "--", *texts, *rest]
        if takes.get(one):
            options += [one, *_next(rest)]
        else:
            (texts if _is_text(one, takes) else options).append(one)
    return [*options, "--", *texts] if texts else options


def _next(rest: Iterator[str]) -> list[str]:
    return [one for one in (next(rest, None),) if one is not None]


def _is_text(one: str, takes: Mapping[str, bool]) -> bool:
    if not one.startswith("-") or one in takes:
        return False
    if one.startswith("--"):
        return one.partition("=")[0] not in takes and not _OF_TEXT.isdisjoint(one)
    short, value = one[:2], one[2:]
    if short not in takes or not _OF_TEXT.isdisjoint(one):
        return True
    if value.lstrip("=").isdigit():
        return False
    raise typer.BadParameter(
        f'{one} could be a search or the option {short}; for the option write "{short} '
        f'{value.lstrip("=")}", and a search begins with what to look for: "animals {one}"'
    )
