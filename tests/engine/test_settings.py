"""Settings come from the environment, explicit ones first, and bad ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InvalidInput
from engine.settings import PROFILES, Settings, mistyped, read_settings, variables


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRAG_BATCH_SIZE", "7")
    monkeypatch.setenv("MRAG_COLLECTION", "shop")
    settings = read_settings({"collection": "archive"})
    assert (settings.batch_size, settings.collection) == (7, "archive")


def test_explicit_models_replace_the_profiles() -> None:
    settings = Settings(profile="paper", generator="consensus")
    assert settings.models() == (PROFILES["paper"][0], "consensus")


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="sample, fast, paper"):
        Settings(profile="best").models()


def test_a_bad_value_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRAG_BATCH_SIZE", "many")
    with pytest.raises(InvalidInput, match="MRAG_BATCH_SIZE = 'many'"):
        read_settings()


def test_home_is_one_place_wherever_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Settings(home=Path("~/pictures")).home == tmp_path / "pictures"
    assert Settings(home=Path("pictures")).home == tmp_path / "pictures"


def test_the_app_may_ingest_nowhere_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MRAG_SOURCE_ROOT", "")
    assert read_settings().source_root is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRAG_SOURCE_ROOT", "pictures")
    assert read_settings().source_root == tmp_path / "pictures"


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(read_settings({"qdrant_api_key": "secret"}))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MRAG_PROFLIE", "MRAG_PROFLIE is no setting and changes nothing; did you mean"),
        ("mrag_hmoe", "did you mean MRAG_HOME?"),
        ("MRAG_QDRANT", "MRAG_QDRANT is no setting"),
        ("MRAG_ZZZZZZ", "the README lists all settings"),
    ],
)
def test_a_mistyped_variable_is_named(name: str, told: str) -> None:
    (line,) = mistyped(["PATH", "MRAG_HOME", name])
    assert told in line


def test_what_is_a_setting_or_none_of_ours_is_not_named() -> None:
    others = ["PATH", "mrag_profile", "MRAG_TEST_QDRANT", "MRAG_PICTURES", "SMRAG_HOME"]
    assert mistyped([*variables(), *others]) == []
