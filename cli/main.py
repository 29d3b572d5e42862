"""The command line as a whole: its commands, and how errors become text and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from cli.lazy import lazy_group
from cli.output import pointed, say
from engine.disk import MEMORY, refused
from engine.errors import (
    InvalidSearch,
    Missing,
    ModelMissing,
    MragError,
    SourceError,
    UnreadableImage,
)

DONE, SOME_FAILED, USAGE, MISSING, BUG, INTERRUPTED = 0, 1, 2, 3, 70, 130
NOBODY_READS = 141
"""What a shell reports of a program that wrote to a pipe nobody reads: 128 + SIGPIPE."""

STOPPED = "mrag: stopped; what was finished is kept, and the same command goes on from there"

COMMANDS = {
    "caption": (
        "cli.answer",
        "Describe pictures, and videos shot by shot; as if they were new, unless with --own.",
    ),
    "describe": (
        "cli.describe",
        "Write descriptions of pictures into tables, sidecars, text files or the pictures.",
    ),
    "search": ("cli.answer", "Find pictures by words, by a picture, or by both."),
    "ask": (
        "cli.ask",
        "Answer a question about a collection, or about pictures, from captions that it cites.",
    ),
    "compare": (
        "cli.answer",
        "Show the captions nearest to a picture: raw CLIP beside mapped.",
    ),
    "correct": (
        "cli.correct",
        "Say what a picture shows: the collection learns from it, for its other pictures too.",
    ),
    "tag": (
        "cli.tag",
        "Give pictures labels of a list: filters (label:dog) and counts of what is there.",
    ),
    "ingest": (
        "cli.ingest",
        "Fill a collection: embed, fit the map, push, and describe what has no caption.",
    ),
    "sync": (
        "cli.sync",
        "Bring a collection level with its sources: what is new, changed, moved or gone in them.",
    ),
    "embed": (
        "cli.fill",
        "Embed a source and no more; `mrag fit` and `mrag push` make the rest of an ingest.",
    ),
    "fit": (
        "cli.fill",
        "Fit a collection's map again; `mrag push` then brings the index level with it.",
    ),
    "push": (
        "cli.fill",
        "Bring a collection's index level with its embeddings and its map.",
    ),
    "memory": (
        "cli.fill",
        "Make a memory: captions that describe the pictures of other collections.",
    ),
    "duplicates": (
        "cli.duplicates",
        "List the pictures that a collection holds more than once; nothing is deleted.",
    ),
    "delete": ("cli.ingest", "Delete a collection; your pictures stay where they are."),
    "collections": ("cli.inspect", "List the collections."),
    "doctor": (
        "cli.inspect",
        "Say what is installed, found, missing and reachable, and how to get what is missing.",
    ),
    "evaluate": (
        "cli.measure",
        "Measure captions and rankings: raw CLIP, the collection's map, and maps of other methods.",
    ),
    "score": (
        "cli.score",
        "Score captions against references, as papers on captioning do; no model is needed.",
    ),
    "ablate": (
        "cli.ablate",
        "Vary one setting after another and hold each to the default, on the same pictures.",
    ),
    "refine": (
        "cli.refine",
        "Add a collection's own good descriptions to its captions and its map, while that helps.",
    ),
    "demo": (
        "cli.demo",
        "Index the sample collections, describe pictures they do not hold, and search them.",
    ),
    "serve": (
        "cli.serve",
        "Serve the web app and the HTTP API, over the sample collections in a new home.",
    ),
    "app": (
        "cli.serve",
        "Serve as `mrag serve` does, and open the web app in a browser.",
    ),
    "mcp": (
        "cli.mcp",
        "Answer an agent over standard input and output (Model Context Protocol).",
    ),
    "keys": ("cli.keys", "Keys to a server of this home: make, list, revoke them."),
    "compact": (
        "cli.upkeep",
        "Let go of what has been superseded; an ingest does so by itself when it is a third.",
    ),
    "verify": (
        "cli.upkeep",
        "Hold a collection's shards, ledger, index and map against each other.",
    ),
    "migrate": (
        "cli.upkeep",
        "Bring over what an earlier version made, indexes too; an ingest does so by itself.",
    ),
}
"""Command -> (the module that registers it, its help's first sentence), in the help's order."""

app = typer.Typer(
    name="mrag",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mrag {_version()}")
        raise typer.Exit


def _version() -> str:
    from mrag_client.version import own_version

    return own_version() or "not installed: run from its source"


@app.callback()
def _global_options(
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Describe pictures and find them, without training anything.

    Exit codes: 0 done; 1 some inputs failed, the others were answered; 2 usage;
    3 something needed is missing, and the message says how to get it.
    """


def main() -> int:
    """Run the command line; errors go to stderr as text, never as a traceback."""
    _make_streams_safe()
    _stop_in_order()
    arguments, debug = _without_debug(sys.argv[1:])
    _name_mistyped_settings()
    try:
        return _run(arguments, debug)
    except BrokenPipeError:  # of the streams: what else is piped is read to its end
        return _leave_quietly()
    except KeyboardInterrupt:
        return _explain([STOPPED], INTERRUPTED, debug)


def _run(arguments: list[str], debug: bool) -> int:
    try:
        app(arguments, prog_name="mrag")
    except SystemExit as stop:
        # Typer and rich leave so, with 1, where stdout or stderr is a pipe that was closed.
        if isinstance(stop.__context__, BrokenPipeError):
            raise stop.__context__ from None
        if stop.code == INTERRUPTED:  # which Typer makes of Ctrl-C, and says nothing
            raise KeyboardInterrupt from None
        raise
    except BrokenPipeError:
        raise
    except Exception as error:
        first, *more = _told(error)
        return _explain([f"mrag: {first}", *more], _code(error), debug)
    return DONE


def _told(error: Exception) -> list[str]:
    """What is said of an error, in lines."""
    if isinstance(error, ModelMissing | SourceError):  # what they list stands on lines of its own
        return str(error).splitlines()
    if isinstance(error, MragError):  # a line break is that of a name
        return [str(error), *_place(error)]
    if isinstance(error, OSError):
        from mrag_client.presence import home_of_user

        return [str(refused(Path(error.filename or home_of_user()), error))]
    if isinstance(error, MemoryError):
        return [MEMORY]
    if isinstance(error, ImportError):
        remedy = "free memory if there is little, else install mrag again"
        return [f"a library cannot be loaded; {remedy}: {error}"]
    return [
        f"this is a bug: {type(error).__name__}: {error}; please report it with what the same "
        "command shows with --debug"
    ]


def _place(error: MragError) -> list[str]:
    """Where in what was typed it is, if that is known."""
    if isinstance(error, InvalidSearch) and error.typed:
        return pointed(error.typed, error.start, error.end)
    return []


def _code(error: Exception) -> int:
    if isinstance(error, UnreadableImage):
        return SOME_FAILED
    if isinstance(error, (Missing, OSError, MemoryError, ImportError)):
        return MISSING
    return USAGE if isinstance(error, MragError) else BUG


def _name_mistyped_settings() -> None:
    """Say which variables look like settings and are none; loads nothing where there are none."""
    if any(name.upper().startswith("MRAG_") and name != "MRAG_HOME" for name in os.environ):
        from engine.settings import mistyped

        for line in mistyped(os.environ):
            say(f"mrag: {line}")


def _stop_in_order() -> None:
    """Stop when asked by a signal as at Ctrl-C: what was started ends, and temporary files go."""
    for name in ("SIGTERM", "SIGHUP"):
        asked = getattr(signal, name, None)
        # A command under nohup is to outlive its terminal.
        if asked is not None and signal.getsignal(asked) == signal.SIG_DFL:
            signal.signal(asked, signal.default_int_handler)


def _make_streams_safe() -> None:
    """Let no closed stream, and no file name that is no text, stop an answer."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments, and whether --debug was among them, before or after the command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*options, *arguments[end:]], len(options) < end


def _leave_quietly() -> int:
    """Say nothing more, not even at exit, when Python writes out what was left unsaid."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    return NOBODY_READS


def _explain(lines: list[str], code: int, debug: bool) -> int:
    for line in lines:
        say(line)
    if debug:
        traceback.print_exc()
    return code
