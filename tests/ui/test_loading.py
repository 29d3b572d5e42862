"""Models that have yet to be fetched: the app says how far they are, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest
import streamlit as st

from engine.app import Engine, build_engine
from engine.errors import ModelMissing
from engine.progress import Progress
from engine.settings import SAMPLE_PACK, Settings
from ingest.jobs.background import Jobs
from tests.hub import ModelHub, Weather
from ui.collections.ingest_jobs import _step
from ui.shared.resources import WarmUp, begin, warm_up

SLOW = Weather(bytes_per_s=2_000_000)


@pytest.fixture
def engine(home: Path, hub: ModelHub) -> Iterator[Engine]:
    """Over the sample collections, with a generator of the hub."""
    hub.add_folder("org/t5", SAMPLE_PACK / "t5")
    settings = Settings(home=home, profile="sample", generator="org/t5", device="cpu")
    with closing(build_engine(settings)) as engine:
        yield engine


def seen_until(ready: Callable[[], bool], now: Callable[[], Progress | None]) -> list[Progress]:
    steps = []
    while not ready():
        if step := now():
            steps.append(step)
        sleep(0.02)
    return steps


def test_a_page_can_say_how_far_the_models_are(engine: Engine, hub: ModelHub) -> None:
    hub.weather["GET model.safetensors"] = SLOW
    warming = WarmUp(engine.open("plain"))
    assert warming.is_ready(20, writer=False)
    steps = seen_until(lambda: warming.is_ready(0, writer=True), lambda: warming.progress)
    fetched = [step for step in steps if step.stage == "fetch model.safetensors (t5)"]
    assert 0 < fetched[0].share < 1
    assert f"of {hub.size('org/t5', 'model.safetensors')}" in fetched[0].amount


def test_words_are_found_though_the_generator_cannot_be_had(engine: Engine, hub: ModelHub) -> None:
    hub.weather["api"] = Weather(404)
    warming = WarmUp(engine.open("plain"))
    with pytest.raises(ModelMissing, match="hf download org/t5"):
        warming.is_ready(20, writer=True)
    assert warming.is_ready(0, writer=False)
    assert engine.open("plain").gallery


def test_an_encoder_that_cannot_be_had_keeps_no_page_waiting(home: Path, hub: ModelHub) -> None:
    hub.weather["api"] = Weather(404)
    with closing(build_engine(Settings(home=home, encoder="hf-hub:org/clip"))) as engine:
        warming = WarmUp(engine.open("plain"))
        with pytest.raises(ModelMissing, match="hf download org/clip"):
            warming.is_ready(20, writer=False)


def test_a_job_tells_what_it_fetches(tmp_path: Path, hub: ModelHub) -> None:
    hub.add_folder("org/clip", SAMPLE_PACK / "clip")
    hub.add_folder("sample-world", SAMPLE_PACK / "clip")
    hub.weather["GET open_clip_model.safetensors"] = SLOW
    (tmp_path / "words.txt").write_text("a dog\n")
    settings = Settings(
        home=tmp_path / "home",
        source_root=tmp_path,
        encoder="hf-hub:org/clip",
        generator="consensus",
    )
    with closing(build_engine(settings)) as engine:
        jobs = Jobs(engine)
        job = jobs.start("words", tmp_path / "words.txt")
        told: set[str] = set()
        while jobs.get(job.id).is_active:
            told.add(_step(jobs.get(job.id)))
            sleep(0.05)
        jobs.close()
    fetched = [step for step in told if "safetensors" in step and step.endswith("of 1.8 MB")]
    assert len(fetched) > 1, told


def test_models_load_and_maps_are_measured_before_the_first_visitor(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_HOME", str(home))
    monkeypatch.setenv("MRAG_PROFILE", "sample")
    st.cache_resource.clear()
    begin()
    warming = warm_up("plain")
    assert warming.is_ready(60, writer=True)
    assert warming.is_measured(60)
    (index,) = (home / "collections" / "plain" / "index").glob("0*")
    assert {"gap.safetensors", "relevance.safetensors"} <= {path.name for path in index.iterdir()}
    st.cache_resource.clear()
