"""One ASGI application: the pages, the API and the agents' door over one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from starlette.middleware import Middleware
from streamlit.web import bootstrap

from api.app import api_routes, build_api, close_api
from api.log import RequestLog
from engine.errors import Missing, MragError
from engine.settings import Settings
from server.guard import guard, streamlit_options
from ui.shared import resources

if TYPE_CHECKING:  # the package that it needs may not be there
    from server.agents import Agents

PAGE = Path(__file__).parents[1] / "streamlit_app.py"


def build_app(
    settings: Settings, *, address: str, port: int, home_token: Callable[[], str]
) -> st.App:
    """Everything that a server answers, to be run once in a process.

    Pages and API share what `ui.shared.resources` holds: one engine with its models, queues and
    indexes, one list of ingests. `home_token`: what makes this home's owner known. Raises Missing
    where the pages are not there, InvalidInput where it must not listen at that address.
    """
    if not PAGE.is_file():
        raise Missing(f"the web app is not part of this installation ({PAGE} is absent)")
    before = [
        Middleware(RequestLog),
        *guard(settings, address=address, home_token=home_token),
    ]
    api = build_api(resources.engine(), resources.jobs(), resources.thumbnails())
    agents = _agents()

    @asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            held.callback(close_api, api)
            if agents is not None:
                await held.enter_async_context(agents.running())
            _warm_up()
            yield

    routes = [*api_routes(api), *(agents.routes if agents else ())]
    app = st.App(PAGE, routes=routes, middleware=before, lifespan=lifespan)
    # The app has told Streamlit where its page lies, and so where its settings do.
    options = {
        **streamlit_options(settings, address),
        "server.port": port,
        "server.headless": True,
        "server.enableAgentApi": False,  # it would drive pages past the API's roles
    }
    bootstrap.load_config_options(options)
    return app


def _agents() -> Agents | None:
    """The agents' door, where the package is there that it needs."""
    if find_spec("mcp") is None:
        return None
    from server.agents import Agents, EngineDoor

    return Agents(EngineDoor(resources.engine(), resources.thumbnails()))


def _warm_up() -> None:
    """Begin to load what the collection that is shown first needs."""
    with suppress(MragError):  # a page, or an answer, says what is wrong with it
        resources.begin()
