"""Commands that serve: serve, app."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from cli.demo import fill_waiting_samples
from cli.options import settings_for
from cli.output import say

PortOption = Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")]
AddressOption = Annotated[
    str, typer.Option(help="Who may reach it: by default this machine alone.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(serve)
    app.command("app")(start_app)


def serve(port: PortOption = 8501, address: AddressOption = "127.0.0.1") -> None:
    """Serve the web app and the HTTP API, over the sample collections in a new home."""
    _serve(port, address, lambda _: None)


def start_app(port: PortOption = 8501, address: AddressOption = "127.0.0.1") -> None:
    """Serve as `mrag serve` does, and open the web app in a browser."""
    _serve(port, address, _open)


def _serve(port: int, address: str, then: Callable[[str], object]) -> None:
    from server.running import listening, log_to_stderr
    from server.running import serve as serve_here

    settings = settings_for()
    listening(address, port).close()  # said before the samples are filled, which takes a while
    fill_waiting_samples(settings.home)
    log_to_stderr()

    def told(place: str) -> None:
        say(f"mRAG answers at {place}, its API at {place}/api/docs; end it with Ctrl-C")
        then(place)

    serve_here(settings, address=address, port=port, on_listening=told)


def _open(place: str) -> None:
    """Open it in a browser, where there is a screen: no text browser takes over the terminal."""
    shown = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if shown:
        with suppress(webbrowser.Error):
            webbrowser.open(place)
