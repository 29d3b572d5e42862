"""What the documents and the messages tell a user to type must exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from cli.main import app
from engine.settings import Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "sample/README.md")
_COMMAND = re.compile(r"^\s*(?:\$ )?(mrag .*?)(?:\s{2,}#.*)?$", re.MULTILINE)


def shown_commands() -> list[str]:
    """Every line of a fenced block in the README that is a mrag command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    return [found.partition(" #")[0] for block in blocks for found in _COMMAND.findall(block)]


def test_the_readme_shows_commands() -> None:
    assert len(shown_commands()) > 5


@pytest.mark.parametrize("line", shown_commands())
def test_a_shown_command_is_understood(line: str) -> None:
    _, name, *args = shlex.split(line)
    group = typer.main.get_group(app)
    command = group.commands[name]
    command.make_context(name, args, resilient_parsing=False)


def test_shown_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
        assert shown <= targets, document


def test_named_settings_exist() -> None:
    known = {f"MRAG_{name.upper()}" for name in Settings.model_fields}
    sources = [ROOT / "README.md", *ROOT.glob("engine/**/*.py"), *ROOT.glob("cli/*.py")]
    for source in sources:
        named = set(re.findall(r"MRAG_[A-Z][A-Z_]*[A-Z]", source.read_text(encoding="utf-8")))
        assert named <= known, source


def test_commands_in_messages_exist() -> None:
    known = {*typer.main.get_group(app).commands, "command", "process"}
    for source in [*ROOT.glob("engine/**/*.py"), *ROOT.glob("ingest/**/*.py")]:
        told = re.findall(r"(?:with|finish it with|or): (mrag \w+)", source.read_text())
        assert {line.split()[1] for line in told} <= known, source
