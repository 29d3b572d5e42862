"""A small home with the sample's models and pictures, for suites that want real meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.app import Engine, build_engine
from engine.settings import SAMPLE_PACK, Settings
from ingest import filling
from ingest.readers import open_source

TABLE = SAMPLE_PACK / "plain" / "captions.jsonl"
PICTURES = 24


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 24 pictures in `plain`, captions and all; change nothing in it."""
    made = tmp_path_factory.mktemp("sample-home")
    engine = build_engine(Settings(home=made, profile="sample", device="cpu"))
    records = open_source(TABLE, split=frozenset(("train",)), limit=PICTURES)
    filling.fill(engine, records, "plain", models=filling.specs(engine, "plain"))
    engine.close()
    return made


@pytest.fixture(scope="session")
def sample_engine(sample_home: Path) -> Iterator[Engine]:
    """One engine over that home for all tests."""
    engine = build_engine(Settings(home=sample_home, profile="sample", device="cpu"))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def unknown_pictures() -> list[Path]:
    """Picture files that the home does not hold."""
    rows = map(json.loads, TABLE.read_text().splitlines())
    return [SAMPLE_PACK / "plain" / row["image"] for row in rows if row["split"] == "test"]
