"""mrag refine, over the sample models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.collection import CollectionFolder
from tests.cli.conftest import PACK, Run
from tests.refine.refining import points

TABLE = PACK / "plain" / "captions.jsonl"


def test_without_validation_pictures_it_says_what_is_needed(mrag: Run) -> None:
    done = mrag("refine", "plain")
    assert done.code == 2
    assert "no captioned picture in split 'val'" in done.err
    assert "Traceback" not in done.err


@pytest.mark.skipif(shutil.which("java") is None, reason="the tokeniser needs Java")
def test_refine_and_undo(mrag: Run, home: Path, tmp_path: Path) -> None:
    """With few captions, those that the program writes itself raise the validation mean."""
    shutil.copytree(home, tmp_path / "home")
    at = tmp_path / "home"
    done = mrag("ingest", TABLE, "-c", "plain", "--split", "val", "--limit", "20", at=at)
    assert done.code == 0, done.err
    folder = CollectionFolder(at, "plain")
    before = points(folder), folder.alignment.read_bytes(), folder.moments.read_bytes()

    done = mrag("refine", "plain", "--max-rounds", "1", "--json", at=at)
    assert done.code == 0, done.err
    (report,) = done.answers
    (one,) = report["rounds"]
    assert (one["written"], one["metric"], report["metric"]) == (80, "cider-d", "cider-d")
    assert 0 < one["added"] <= one["reached"] < 80
    assert one["added"] + one["copies"] + one["capped"] == one["reached"]
    kept = one["gain"]["low"] > 0
    assert (one["state"], report["after"]) == (
        ("kept", one["after"]) if kept else ("withdrawn", one["before"])
    )
    (summary,) = mrag("collections", "--json", at=at).answers
    assert [held["round"] for held in summary["rounds"]] == ([1] if kept else [])
    assert summary["captions"] == 500 + (one["added"] if kept else 0)

    done = mrag("refine", "plain", "--undo", "1", "--json", at=at)
    if kept:
        assert done.answers == [{"collection": "plain", "withdrawn": [1], "exact": True}]
    else:
        assert done.code == 2
    assert (points(folder), folder.alignment.read_bytes(), folder.moments.read_bytes()) == before
