"""Commands whose modules are imported when they are asked for: a start costs what it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Table = Mapping[str, tuple[str, str]]
"""Command -> (the module that registers it, its help's first sentence)."""


class Commands(MutableMapping[str, Any]):
    """The commands of a table, each imported when it is first looked up."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            module = self._table[name][0]
            made = typer.Typer(rich_markup_mode=None)
            import_module(module).register(made)
            loaded = typer.main.get_group(made).commands
            self._known |= {one: loaded[one] for one in loaded if one not in self._known}
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"the command {name} cannot be taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._table, *self._known)))

    def __len__(self) -> int:
        return len(list(iter(self)))


def lazy_group(table: Table) -> type[TyperGroup]:
    """A group of the commands of a table; its own help imports none of them."""

    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = Commands(table)

        def list_commands(self, ctx: Any) -> list[str]:
            del ctx
            return list(table)

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            """Write the table as the commands would tell it themselves."""
            del ctx
            room = formatter.width - 6 - max(map(len, table))
            rows = [
                (name, TyperCommand(name, help=told).get_short_help_str(room))
                for name, (_, told) in table.items()
            ]
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    return LazyGroup
