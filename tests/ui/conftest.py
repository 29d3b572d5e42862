"""A home with the two sample collections, and the app run over it without a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from corpus.records import Record
from engine.app import Engine, build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest import filling
from ingest.readers import open_source

ROOT = Path(__file__).parents[2]
COUNTS = {"plain": 80, "postcards": 40}

OpenPage = Callable[..., AppTest]

AUTH = {
    "auth": {
        "redirect_uri": "http://localhost:8501/oauth2callback",
        "cookie_secret": "x" * 32,
        "client_id": "id",
        "client_secret": "secret",
        "server_metadata_url": "https://accounts.example.org/.well-known/openid-configuration",
    }
}
"""Secrets that ask for a sign-in."""


def elements(page: AppTest, name: str) -> Iterator[Any]:
    """The data that our own elements of that name were given."""
    for element in page.get("bidi_component"):
        proto: Any = element.proto
        if proto.component_name == f"mrag_{name}":
            yield json.loads(proto.json)


def fill(engine: Engine, name: str, records: Iterable[Record]) -> None:
    """Bring records into a collection of the engine's home, with the sample models."""
    filling.fill(engine, records, name, models=filling.specs(engine, name))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 80 pictures in `plain` and 40 in `postcards`; change nothing in it."""
    made = tmp_path_factory.mktemp("ui-home")
    engine = build_engine(Settings(home=made, profile="sample", device="cpu"))
    for name, count in COUNTS.items():
        table = SAMPLE_PACK / name / "captions.jsonl"
        fill(engine, name, open_source(table, split=frozenset(("train",)), limit=count))
    engine.close()
    return made


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[OpenPage]:
    """Opens a page of the app, `ui/search/search.py` for one, over a home, and has run it once.

    One engine serves all tests over the shared home; another home gets one of its own.
    """
    last = home

    def opened(
        page: str = "",
        /,
        *,
        at: Path = home,
        secrets: Mapping[str, Any] | None = None,
        user: Mapping[str, Any] | None = None,
        **query: str,
    ) -> AppTest:
        nonlocal last
        if at != last:
            st.cache_resource.clear()
            last = at
        monkeypatch.setenv("MRAG_HOME", str(at))
        monkeypatch.setenv("MRAG_PROFILE", "sample")
        test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
        for name, value in query.items():
            test.query_params[name] = value
        test.secrets = dict(secrets or {})
        test.user = dict(user or {})
        if page:
            test.switch_page(page)
        return test.run()

    yield opened
    if last != home:
        st.cache_resource.clear()
