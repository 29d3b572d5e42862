"""The README's table of settings, made of the settings class: `python -m docs.settings`.

Writes the README, between its two marks; `tests/test_docs.py` says when it has to be run.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from engine.settings import Settings

README = Path(__file__).parent.parent / "README.md"
_MARKS = ("<!-- settings: python -m docs.settings -->\n", "<!-- end of settings -->")
_SHOWN = {
    "home": "`~/.local/share/mrag`",
    "cache": "`~/.cache/mrag`",
    "workers": "up to 8, one for each core",
}
"""Defaults that depend on the machine: as they are on a Linux desktop."""


def table() -> str:
    """Every setting with its default, as Markdown."""
    rows = [
        f"| `MRAG_{name.upper()}` | {_SHOWN.get(name) or _default(field)} | {_told(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *rows, ""])


def with_table(readme: str) -> str:
    """The README's text, its table of settings as it should be now."""
    start, end = map(re.escape, _MARKS)
    between = re.compile(f"(?<={start}).*?(?={end})", re.DOTALL)
    text, found = between.subn(lambda _: f"\n{table()}\n", readme)
    if found != 1:
        raise ValueError(f"{README} has {found} places for the settings, not one: {_MARKS}")
    return text


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**20:
        return f"{value:,}"
    return "" if value in ("", None) else f"`{value}`"


def _told(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
