"""Runs the server: one process that listens, says where, and ends in order when it is told to."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import streamlit as st
import uvicorn
from starlette.concurrency import run_in_threadpool

from api.log import WithRequestId
from engine.errors import InvalidInput, Missing
from engine.settings import Settings
from mrag_client.presence import Presence
from mrag_client.version import own_version
from server.asgi import build_app
from server.presence import announce, new_token, only_server, withdraw
from ui.shared import resources

_BACKLOG = 2048
_PATIENCE_S = 5
"""What answers still go out when the server is told to end."""

_WS_PING_S = 30
_LINE = "%(asctime)s %(levelname)s %(name)s [%(request)s] %(message)s"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def serve(
    settings: Settings, *, address: str, port: int, on_listening: Callable[[str], None]
) -> None:
    """Serve pages and API over the home of the settings until the process is told to end.

    `on_listening` is told the address when it can be asked. Raises StoreLocked while another
    server of this home runs, InvalidInput where nothing can listen at the address.
    """
    os.environ["MRAG_HOME"] = str(settings.home)  # as it was meant from this folder
    with only_server(settings.home), listening(address, port) as listener:
        bound = int(listener.getsockname()[1])
        presence = _presence(settings, address, bound)
        app = build_app(settings, address=address, port=bound, home_token=lambda: presence.token)
        server = _Server(
            _config(app),
            began=[
                partial(announce, settings.home, presence),
                partial(on_listening, presence.address),
            ],
            ends=[partial(withdraw, settings.home, presence), resources.jobs().close],
        )
        try:
            # It gives the signal that ended it on to who waits for it, which is us.
            with suppress(KeyboardInterrupt):
                server.run([listener])
        finally:
            withdraw(settings.home, presence)
            resources.engine().close()
        if not server.began:
            raise Missing("the server could not begin; what is said above is why")


def listening(address: str, port: int) -> socket.socket:
    """A socket that listens there; raises InvalidInput, in words, where none can."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        raise InvalidInput(
            f"the app cannot listen at {address!r}, port {port} ({error}); name a free port with "
            "--port, or an address of this machine with --address"
        ) from error
    return listener


class _Server(uvicorn.Server):
    """Says when it listens, and lets go of what runs in the background when it ends."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        began: list[Callable[[], object]],
        ends: list[Callable[[], object]],
    ) -> None:
        super().__init__(config)
        self._on_began, self._on_end = began, ends
        self.began = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        if self.started:
            self.began = True
            for tell in self._on_began:
                tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: what is told of an ingest ends with it, so ingests end first."""
        for end in self._on_end:
            await run_in_threadpool(end)
        await super().shutdown(sockets)


def _config(app: st.App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_S,
        ws="websockets-sansio",
        ws_ping_interval=_WS_PING_S,
        ws_ping_timeout=_WS_PING_S,
        ws_max_size=int(st.get_option("server.maxMessageSize")) * 2**20,
        ws_per_message_deflate=bool(st.get_option("server.enableWebsocketCompression")),
    )


def _presence(settings: Settings, address: str, port: int) -> Presence:
    host = _ANYWHERE.get(address, f"[{address}]" if ":" in address else address)
    encoder, generator = settings.models()
    return Presence(
        address=f"http://{host}:{port}",
        token=new_token(),
        pid=os.getpid(),
        version=own_version(),
        encoder=encoder,
        generator=generator,
        reranker=settings.reranker,
        device=settings.device,
    )


def log_to_stderr() -> None:
    """Have what the server says go to stderr, with the id of the request that it belongs to."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(WithRequestId())
    handler.setFormatter(logging.Formatter(_LINE))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mrag").setLevel(logging.INFO)
    # Streamlit takes what it is told at each start for a change that needs another one.
    logging.getLogger("streamlit.config").addFilter(
        lambda told: "An update to the [server] config" not in told.getMessage()
    )
    # uvicorn says so of every websocket that is refused with words.
    logging.getLogger("uvicorn.error").addFilter(
        lambda told: "without completing handshake" not in told.getMessage()
    )
