"""Pages and API over one engine: no model is loaded twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from api.app import api_routes, build_api, close_api
from engine.errors import InvalidInput
from engine.models import loaded
from engine.settings import Settings
from server.asgi import PAGE, build_app
from server.middleware import OpenDoor, guard
from ui.shared import resources


def test_pages_and_api_load_each_model_once(
    sample_home: Path, unknown_pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_HOME", str(sample_home))
    monkeypatch.setenv("MRAG_PROFILE", "sample")
    st.cache_resource.clear()
    times: Counter[str] = Counter()
    for name in ("load_encoder", "load_generator"):
        real = getattr(loaded, name)

        def counted(*args: Any, _name: str = name, _real: Any = real, **options: Any) -> Any:
            times[_name] += 1
            return _real(*args, **options)

        monkeypatch.setattr(loaded, name, counted)
    api = build_api(resources.engine(), resources.jobs(), resources.thumbnails())
    door = [Middleware(OpenDoor, home_token=lambda: "token")]
    client = TestClient(Starlette(routes=api_routes(api), middleware=door))
    sent = [("image", ("a.webp", unknown_pictures[0].read_bytes(), "image/webp"))]
    assert client.post("/api/v1/caption", files=sent).status_code == 200
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    page.switch_page("ui/search/search.py")
    page.query_params["q"] = "a cat"
    page.run()
    assert not page.exception
    assert resources.engine() is api.state.parts.engine
    assert times == {"load_encoder": 1, "load_generator": 1}
    close_api(api)
    st.cache_resource.clear()


def test_another_address_is_refused_while_nobody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="listen at 127"):
        guard(Settings(home=tmp_path), address="0.0.0.0")


def test_the_pages_settings_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRAG_HOME", str(tmp_path / "home"))
    st.cache_resource.clear()
    settings = Settings(home=tmp_path / "home", max_upload_bytes=300 * 2**20 + 1)
    build_app(settings, address="127.0.0.1", port=8765, home_token=lambda: "token")
    assert st.get_option("theme.light.primaryColor") == "#0b5cad"
    assert st.get_option("client.toolbarMode") == "minimal"
    assert st.get_option("server.maxUploadSize") == 301
    assert st.get_option("server.enableAgentApi") is False
    st.cache_resource.clear()
