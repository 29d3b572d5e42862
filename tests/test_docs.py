"""What the documents and the messages tell a user to type must exist."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
import typer
import yaml

from api.app import build_api
from cli.main import app
from docs.settings import with_table
from engine.app import Engine
from engine.search.filter_terms import FILTER_TERMS
from engine.search.language import read_search
from engine.search.thumbnails import Thumbnails
from engine.settings import Settings, variables
from ingest.jobs.background import Jobs
from mrag_client.models import SEARCH_LANGUAGE

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CHANGELOG.md", "RESULTS.md",
    "sample/README.md",
)  # fmt: skip
ROOMS = (
    "engine", "corpus", "evaluation", "ingest", "refine", "cli", "ui", "api", "mrag_client",
    "server", "service",
)  # fmt: skip
ELSEWHERE = frozenset(("MRAG_PICTURES", "MRAG_TEST"))
"""What docker-compose.yml reads itself, and how the variables begin that tests read."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TOLD = re.compile(r"(?:: |`|\"|&& |\bor |\bwith )mrag ([a-z]+)")
_PLACE = r"(?:\$ |docker compose (?:exec|run --rm) app |~/mrag/bin/)?"
_COMMAND = re.compile(rf"^\s*{_PLACE}(mrag .*?)(?:\s{{2,}}#.*)?$", re.MULTILINE)


def sources() -> list[Path]:
    """The program's own files."""
    return [
        ROOT / "streamlit_app.py",
        *(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py")),
    ]


def shown_commands() -> list[str]:
    """Every line of a fenced block in the documents that is a mrag command."""
    texts = [(ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS]
    blocks = [block for text in texts for _, block in _FENCED.findall(text)]
    found = [line for block in blocks for line in _COMMAND.findall(block)]
    return list(dict.fromkeys(line.partition(" #")[0] for line in found))


def test_the_documents_show_commands() -> None:
    assert len(shown_commands()) > 5


@pytest.mark.parametrize("line", shown_commands())
def test_a_shown_command_is_understood(line: str) -> None:
    _, *words = shlex.split(line)
    command: Any = typer.main.get_group(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        command = command.commands[name]
    command.make_context(name, words, resilient_parsing=False)


def blocks_of(language: str) -> list[str]:
    """The fenced blocks of the README in a language; "" for those that name none."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block for named, block in _FENCED.findall(text) if named == language]


def shown_lines(program: str) -> list[list[str]]:
    """The README's lines that start a program, in words."""
    lines = [line for block in blocks_of("") for line in block.splitlines()]
    told = [shlex.split(line, comments=True) for line in lines if line.startswith(program + " ")]
    assert told
    return told


def test_shown_calls_of_the_api_exist(tmp_path: Path) -> None:
    paths = openapi(tmp_path)["paths"]
    for _, *words in shown_lines("curl"):
        (address,) = (word for word in words if word.startswith("http"))
        form = [words[place + 1] for place, word in enumerate(words) if word == "-F"]
        url = urlsplit(address)
        call = paths[url.path.removeprefix("/api")]["post" if form else "get"]
        known = {parameter["name"] for parameter in call["parameters"]}
        assert {name for name, _ in parse_qsl(url.query, strict_parsing=True)} <= known
        fields = [field.partition("=")[0] for field in form]
        assert all(field in str(call["requestBody"]) for field in fields)


def openapi(home: Path) -> dict[str, Any]:
    """What the API says of itself."""
    engine = Engine(Settings(home=home))
    with closing(engine), closing(Jobs(engine)) as jobs:
        limits = engine.settings.limits
        with closing(Thumbnails(home / "thumbnails", limits, max_bytes=1, workers=1)) as thumbnails:
            told: dict[str, Any] = build_api(engine, jobs, thumbnails).openapi()
            return told


def test_the_shown_program_asks_what_the_client_answers() -> None:
    """Its imports are there, and what it calls takes what it is given."""
    (program,) = blocks_of("python")
    tree = ast.parse(program)
    known: dict[str, Any] = {}
    exec(
        "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, ast.ImportFrom)),
        known,
    )
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        if isinstance(call.func, ast.Attribute):
            called, first = getattr(known["Client"], call.func.attr), 1  # itself
        else:
            called, first = known.get(ast.unparse(call.func), print), 0
        named = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        signature(called).bind(*[None] * (first + len(call.args)), **named)


def test_shown_compose_calls_name_its_services_and_options() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for _, *words in shown_lines("docker compose"):
        if words.pop(1) in {"exec", "run"}:
            service = next(word for word in words[1:] if not word.startswith("-"))
            assert service in compose["services"]


def test_files_that_the_documents_link_to_exist() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / document).parent.joinpath(target).exists(), (document, target)


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for extra in re.findall(r"(?:mrag|\.)\[([a-z]+)\]'", text):
            assert extra in project["optional-dependencies"], document


def test_the_readme_lists_every_setting_as_it_is() -> None:
    """If this fails: python -m docs.settings."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(readme) == readme


def test_shown_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
        assert shown <= targets, document


def test_named_settings_exist() -> None:
    known = {*variables(), *ELSEWHERE}
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


@pytest.mark.parametrize("name", [*FILTER_TERMS, "like"])
def test_every_filter_is_told_wherever_searches_are_explained(name: str) -> None:
    """In the README, in the web app's help, and in what the terminal, the API and agents tell."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = readme[readme.index("## How to search") : readme.index("## The web app")]
    for text in (readme, (ROOT / "ui/search/filters.py").read_text("utf-8"), SEARCH_LANGUAGE):
        assert f"{name}:" in text


def test_the_searches_that_are_shown_can_be_read() -> None:
    """All that the tables and the commands of the README and of the web app's help show."""
    texts = [
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "ui/search/filters.py")
    ]
    rows = [row for text in texts for row in re.findall(r"^\| (`.*?`) \| ", text, re.MULTILINE)]
    shown = [typed for row in rows for typed in re.findall(r"`([^`]+)`", row)]
    searches = [typed.replace("ID", str(UUID(int=1))) for typed in shown if ":" in typed]
    assert len(searches) > 20
    for typed in searches:
        assert read_search(typed).hints == ()
