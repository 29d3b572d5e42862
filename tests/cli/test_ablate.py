"""`mrag ablate` over a sample collection, again from what is kept, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.worlds import copied_tree

SMALL = ("ablate", "plain", "--split", "train", "--limit", "6", "--jobs", "1")


@pytest.fixture(scope="module")
def filled(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the home that cells may be written into."""
    copy = tmp_path_factory.mktemp("ablate") / "home"
    copied_tree(home, copy)
    return copy


def test_each_setting_is_held_to_the_default(mrag: Run, filled: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    done = mrag(*SMALL, "--axes", "order,own", "--json", "--csv", table, at=filled)
    assert done.code == 0, done.err
    settings = [(answer["axis"], answer["setting"]) for answer in done.answers]
    assert settings == [
        ("default", "default"),
        ("order", "nearest-first"),
        ("order", "nearest-last"),
        ("own", "own captions excluded"),
        ("own", "own captions found"),
    ]
    default, first, last, *_ = done.answers
    assert first["metrics"] == default["metrics"]
    assert not first["differences"]
    assert last["settings"]["describe"]["order"] == "nearest-last"
    gap = last["differences"]["clip"]
    assert gap["mean"] == pytest.approx(last["metrics"]["clip"] - default["metrics"]["clip"])
    assert default["pictures"] == 6
    with table.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["setting"] for row in written] == [label for _, label in settings]
    assert float(written[2]["clip"]) == pytest.approx(last["metrics"]["clip"])


def test_the_table_shows_every_setting(mrag: Run, filled: Path) -> None:
    done = mrag(*SMALL, "--axes", "order", at=filled)
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][:3] == ["axis", "setting", "cider-d"]
    assert [line[:2] for line in lines[2:]] == [
        ["order", "nearest-first"],
        ["order", "nearest-last"],
    ]
    assert all("…" not in line for line in done.out.splitlines())


@pytest.mark.skipif(shutil.which("java") is None, reason="what cannot be scored is not kept")
def test_a_repetition_reads_what_was_measured(mrag: Run, filled: Path) -> None:
    first = mrag(*SMALL, "--axes", "order", at=filled)
    cells = filled / "collections" / "plain" / "ablation" / "cells"
    assert list(cells.glob("*.json")), first.err
    for path in cells.glob("*.json"):
        stored = json.loads(path.read_text())
        stored["outcome"]["means"]["clip"] = 9.0
        path.write_text(json.dumps(stored))
    again = mrag(*SMALL, "--axes", "order", "--json", at=filled)
    assert {answer["metrics"]["clip"] for answer in again.answers} == {9.0}
    shutil.rmtree(cells)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--axes", "colour"), "unknown axis 'colour'"),
        (
            ("--split", "train", "--limit", "9", "--other", "plain"),
            "cannot be transferred to itself",
        ),
        (("--split", "train", "--limit", "9", "--other", "nowhere"), "no collection 'nowhere'"),
        (("--split", "nowhere"), "name one with --split"),
    ],
)
def test_what_cannot_be_measured_is_said(
    mrag: Run, filled: Path, options: tuple[str, ...], said: str
) -> None:
    done = mrag("ablate", "plain", *options, at=filled)
    assert done.code in {2, 3}
    assert said in done.err
    assert not done.out
