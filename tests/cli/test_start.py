"""What starting costs: no command loads what it does not need, and the help loads no command."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
import typer

from cli.main import COMMANDS, app
from engine.alignment.closed_form import AnyMethod
from ingest.readers.detect import KINDS
from mrag_client.models import MapMethod
from tests.cli.conftest import ROOT, Run


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_tells_of_a_command_what_it_tells_of_itself(name: str) -> None:
    """The table that the help is made of is written by hand, so that nothing is loaded for it."""
    group: Any = typer.main.get_group(app)
    command = group.commands[name]
    assert command.get_short_help_str(1000) == COMMANDS[name][1]


def test_the_help_names_every_command(mrag: Run) -> None:
    done = mrag("--help")
    assert done.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.out
    assert "Find pictures by words, by a picture, or by both." in done.out


def test_a_mistyped_command_is_guessed(mrag: Run) -> None:
    done = mrag("serach", "dog")
    assert done.code == 2
    assert "search" in done.err


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_next_to_nothing(option: str) -> None:
    code = (
        f"import sys; sys.argv = ['mrag', {option!r}]\n"
        "import mrag\n"
        "try: mrag.main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert loaded.isdisjoint({"pydantic", "numpy", "rich", "httpx", "cli.answer", "cli.options"})


def test_what_the_light_commands_repeat_is_what_the_readers_say(mrag: Run) -> None:
    """Kinds of sources and methods of maps, which would take seconds to ask for."""
    assert set(get_args(MapMethod)) == set(get_args(AnyMethod))
    shown = " ".join(mrag("ingest", "--help").out.split())
    assert f"{KINDS[0].upper()}{KINDS[1:]}." in shown
