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
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "RESULTS.md", "sample/README.md")
ROOMS = ("engine", "corpus", "evaluation", "ingest", "refine", "cli", "ui")
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TOLD = re.compile(r"(?:: |`|\"|&& |\bor |\bwith )mrag ([a-z]+)")
_COMMAND = re.compile(r"^\s*(?:\$ )?(mrag .*?)(?:\s{2,}#.*)?$", re.MULTILINE)


def sources() -> list[Path]:
    """The program's own files."""
    return [
        ROOT / "streamlit_app.py",
        *(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py")),
    ]


def shown_commands() -> list[str]:
    """Every line of a fenced block in the documents that is a mrag command."""
    texts = [(ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS]
    blocks = [block for text in texts for block in _BLOCK.findall(text)]
    found = [line for block in blocks for line in _COMMAND.findall(block)]
    return list(dict.fromkeys(line.partition(" #")[0] for line in found))


def test_the_documents_show_commands() -> None:
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
    documents = [ROOT / document for document in DOCUMENTS]
    measuring = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")]
    for source in [*documents, *measuring, *sources()]:
        named = set(re.findall(r"MRAG_[A-Z][A-Z_]*[A-Z]", source.read_text(encoding="utf-8")))
        assert named <= known, source


def test_commands_in_messages_exist() -> None:
    known = typer.main.get_group(app).commands.keys()
    told = {path: set(_TOLD.findall(path.read_text(encoding="utf-8"))) for path in sources()}
    assert {"fit", "push", "ingest", "memory"} <= set().union(*told.values())
    for path, names in told.items():
        assert names <= known, path


def test_commands_named_in_documents_exist() -> None:
    known = typer.main.get_group(app).commands.keys()
    for document in DOCUMENTS:
        named = re.findall(r"`mrag ([a-z]+)", (ROOT / document).read_text(encoding="utf-8"))
        assert set(named) <= known, document


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_places_every_file(room: str) -> None:
    """The row of a room names each of its modules behind their folder, and nothing else."""
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{room}/` \| (.*) \|$", table, re.MULTILINE)
    named = set(re.findall(r"`([a-z_0-9]+)/?`", row))
    inside = [path for path in (ROOT / room).rglob("*") if "__pycache__" not in path.parts]
    modules = {path.stem for path in inside if path.suffix == ".py"} - {"__init__"}
    assert modules <= named, modules - named
    assert named <= {path.stem for path in inside}, named - {path.stem for path in inside}
