"""Which models a new collection is offered."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engine.app import build_engine
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import PROFILES, Settings
from ingest.model_choice import ModelChoice, model_choices
from tests.hub import ModelHub

SAMPLE = PROFILES["sample"]


@pytest.fixture(autouse=True)
def nothing_fetched(hub: ModelHub) -> ModelHub:
    """A hub's cache with nothing in it."""
    return hub


def choices(
    home: Path, *, encoder: str = "", generator: str = "", profile: str = "fast"
) -> list[ModelChoice]:
    card = CollectionCard("plain", SAMPLE[0], "e", 4, SAMPLE[1])
    CollectionFolder(home, "plain").write_card(card)
    settings = Settings(home=home, encoder=encoder, generator=generator, profile=profile)
    with closing(build_engine(settings)) as engine:
        return model_choices(engine)


def test_what_is_here_comes_before_what_the_settings_would_have_to_fetch(tmp_path: Path) -> None:
    found = choices(tmp_path)
    assert [(one.profile, one.is_here) for one in found] == [
        ("sample", True),
        ("fast", False),
        ("paper", False),
    ]
    assert found[0] == ModelChoice(SAMPLE, "sample", ("plain",), is_here=True)


def test_models_that_are_named_are_the_only_ones(tmp_path: Path) -> None:
    found = choices(tmp_path, encoder=SAMPLE[0], generator="consensus")
    assert [one.specs for one in found] == [(SAMPLE[0], "consensus")]


def test_the_settings_models_come_first_where_they_are_here(tmp_path: Path) -> None:
    found = choices(tmp_path, generator="consensus", profile="sample")
    assert found[0].specs == (SAMPLE[0], "consensus")
