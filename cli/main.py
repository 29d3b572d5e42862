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

from cli import ablate, answer, demo, fill, inspect, measure, refine, score, upkeep
from cli.output import say
from engine.disk import refused
from engine.errors import Missing, MragError, UnreadableImage
from engine.settings import Settings

DONE, SOME_FAILED, USAGE, MISSING, BUG, INTERRUPTED = 0, 1, 2, 3, 70, 130

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
    upkeep.register,
):
    register(app)


def main() -> int:
    """Run the command line; errors go to stderr as text, never as a traceback."""
    _make_streams_safe()
    _stop_in_order()
    arguments, debug = _without_debug(sys.argv[1:])
    try:
        app(arguments, prog_name="mrag")
    except UnreadableImage as error:
        return _explain(f"mrag: {error}", SOME_FAILED, debug)
    except MragError as error:
        return _explain(f"mrag: {error}", MISSING if isinstance(error, Missing) else USAGE, debug)
    except OSError as error:
        told = refused(Path(error.filename or Settings().home), error)
        return _explain(f"mrag: {told}", MISSING, debug)
    except SystemExit as stop:
        if stop.code != INTERRUPTED:  # which Typer makes of Ctrl-C, and says nothing
            raise
        stopped = (
            "mrag: stopped; what was finished is kept, and the same command goes on from there"
        )
        return _explain(stopped, INTERRUPTED, debug)
    except Exception as error:  # the last resort: a bug of ours still gets no traceback
        return _explain(
            f"mrag: this is a bug: {type(error).__name__}: {error}; "
            "please report it with what the same command shows with --debug",
            BUG,
            debug,
        )
    return DONE


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


def _explain(message: str, code: int, debug: bool) -> int:
    say(message)
    if debug:
        traceback.print_exc()
    return code
