"""The command line as a whole: its commands, and how errors become text and exit codes."""

from __future__ import annotations

import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from cli import answer, demo, fill, inspect
from cli.output import say
from engine.errors import Missing, MragError

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
        typer.echo(f"mrag {version('mrag')}")
        raise typer.Exit


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


for register in (answer.register, fill.register, inspect.register, demo.register):
    register(app)


def main() -> int:
    """Run the command line; errors go to stderr as text, never as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold bytes that are no text; they must not stop an answer.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app()
    except MragError as error:
        _explain(f"mrag: {error}")
        return MISSING if isinstance(error, Missing) else USAGE
    except KeyboardInterrupt:
        say("mrag: stopped; what was finished is kept, and the same command goes on from there")
        return INTERRUPTED
    except Exception as error:  # the last resort: a bug of ours still gets no traceback
        _explain(
            f"mrag: this is a bug: {type(error).__name__}: {error}; "
            "please report it with what `mrag --debug ...` shows"
        )
        return BUG
    return DONE


def _explain(message: str) -> None:
    say(message)
    if "--debug" in sys.argv:
        traceback.print_exc()
