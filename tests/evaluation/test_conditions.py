"""An outcome is kept under all that decides it, the code included."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import evaluation
from engine.settings import Settings
from evaluation.conditions import code_digest, conditions
from evaluation.metrics import meteor

ROOT = Path(evaluation.__file__).resolve().parent.parent


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for room in ("engine", "corpus", "evaluation"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def digest(root: Path) -> str:
    code_digest.cache_clear()
    return code_digest(root)


@pytest.mark.parametrize(
    "place",
    [
        "engine/alignment/closed_form.py",
        "engine/describe/prompts.py",
        "engine/models/seq2seq.py",
        "engine/alignment/hubs.py",
        "evaluation/ablation/cells.py",
        "evaluation/metrics/meteor.py",
    ],
)
def test_one_byte_of_deciding_code_changes_the_digest(copied: Path, place: str) -> None:
    before = digest(copied)
    assert before == digest(ROOT)
    path = copied / place
    path.write_bytes(path.read_bytes() + b"#")
    assert digest(copied) != before


def test_code_that_decides_nothing_changes_nothing(copied: Path) -> None:
    before = digest(copied)
    path = copied / "engine" / "doctor.py"
    path.write_bytes(path.read_bytes() + b"#")
    assert digest(copied) == before


def test_the_scorers_lie_where_they_are_looked_for() -> None:
    assert Path(meteor.__file__).resolve().is_relative_to(ROOT / "evaluation" / "metrics")


def test_precision_and_device_are_conditions() -> None:
    known = conditions(Settings(device="cpu"))
    assert known == conditions(Settings(device="cpu"))
    assert known["device"] == "cpu"
    assert known["torch"] != "not installed"
    assert conditions(Settings(device="cpu", precision="fp32")) != known
