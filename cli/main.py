"""The command line as a whole: its commands, and how errors become text and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from cli import ablate, answer, demo, fill, inspect, keys, measure, refine, score, upkeep
from cli.output import say
from engine.disk import MEMORY, refused
from engine.errors import Missing, ModelMissing, MragError, SourceError, UnreadableImage
from engine.settings import Settings

DONE, SOME_FAILED, USAGE, MISSING, BUG, INTERRUPTED = 0, 1, 2, 3, 70, 130
NOBODY_READS = 141
"""What a shell reports of a program that wrote to a pipe nobody reads: 128 + SIGPIPE."""

STOPPED = "mrag: stopped; what was finished is kept, and the same command goes on from there"

app = typer.Typer(
    name="mrag",
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
    try:
        return version("mrag")
    except PackageNotFoundError:
        return "not installed: run from its source"


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


for register in (
    answer.register,
    fill.register,
    inspect.register,
    measure.register,
    score.register,
    ablate.register,
    refine.register,
    demo.register,
    keys.register,
    upkeep.register,
):
    register(app)


def main() -> int:
    """Run the command line; errors go to stderr as text, never as a traceback."""
    _make_streams_safe()
    _stop_in_order()
    arguments, debug = _without_debug(sys.argv[1:])
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
        return [str(error)]
    if isinstance(error, OSError):
        return [str(refused(Path(error.filename or Settings().home), error))]
    if isinstance(error, MemoryError):
        return [MEMORY]
    if isinstance(error, ImportError):
        remedy = "free memory if there is little, else install mrag again"
        return [f"a library cannot be loaded; {remedy}: {error}"]
    return [
        f"this is a bug: {type(error).__name__}: {error}; please report it with what the same "
        "command shows with --debug"
    ]


def _code(error: Exception) -> int:
    if isinstance(error, UnreadableImage):
        return SOME_FAILED
    if isinstance(error, (Missing, OSError, MemoryError, ImportError)):
        return MISSING
    return USAGE if isinstance(error, MragError) else BUG


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
