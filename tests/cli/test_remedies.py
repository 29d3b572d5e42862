"""Every command that a message names exists and takes what it is given there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from cli.main import app
from engine.settings import Settings
from tests.cli.conftest import ROOT

ROOMS = (
    "api", "cli", "corpus", "engine", "evaluation", "ingest", "mrag_client", "refine", "server",
    "service", "ui",
)  # fmt: skip
ELSEWHERE = {"MRAG_PICTURES", "MRAG_TEST"}
"""What docker-compose.yml reads itself, and how the variables begin that tests read."""
NAMED = re.compile(r"(?:^|: |`|&& |try |with )mrag ([a-z].*?)(?=[;`),]| && |: |, or|  |\n|$)")
PROSE = ("process", "name")
"""What may stand behind the name of the program where it is no command: a version, too."""


def texts() -> Iterator[tuple[str, str]]:
    """The texts of the program without docstrings; what is filled in stands there as `name`."""
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        seen = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                seen |= {id(part) for part in node.values}
            if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in seen:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text_of(node)


def text_of(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    constant = (part.value if isinstance(part, ast.Constant) else "name" for part in node.values)
    return "".join(map(str, constant))


COMMANDS = sorted(
    {
        (where, found[1].strip().rstrip("."))
        for where, text in texts()
        for found in NAMED.finditer(text)
        if found[1].split()[0] not in PROSE
    }
)


@pytest.mark.parametrize(("where", "command"), COMMANDS, ids=[f"{w} {c}" for w, c in COMMANDS])
def test_a_command_that_a_message_names_can_be_given(where: str, command: str) -> None:
    """Parsed as the terminal would, with a name where one is filled in; nothing is run."""
    group = typer.main.get_group(app)
    name, *arguments = shlex.split(command)
    with group.make_context("mrag", [name, *arguments]) as context:
        _, found, rest = group.resolve_command(context, [name, *arguments])
        assert found is not None
        if rest:  # a command that is named alone is only spoken of
            found.make_context(name, rest, parent=context)
    if name != "keys":  # a new key's name is the reader's to choose
        assert "NAME" not in arguments, f"{where} leaves it to the reader which collection is meant"


def test_the_commands_of_the_messages_are_found() -> None:
    """That they are looked for is worth nothing if none is found."""
    assert {"push name --rebuild", "migrate name", "memory coco"} <= {one for _, one in COMMANDS}


def test_every_setting_that_a_message_names_exists() -> None:
    known = {f"MRAG_{name}".upper() for name in Settings.model_fields} | ELSEWHERE
    for where, text in texts():
        for named in re.findall(r"MRAG_[A-Z_]*[A-Z]", text):
            assert named in known, f"{where}: {named}"
