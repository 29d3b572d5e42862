"""compact, verify, migrate, push --rebuild and embed --part, as commands."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import PACK
from tests.worlds import copied_tree

if TYPE_CHECKING:
    from tests.cli.conftest import Run

TABLE = PACK / "plain" / "captions.jsonl"
SOURCE = (TABLE, "-c", "plain", "--split", "train", "--limit", "80", "--profile", "sample")
OLD = Path(__file__).parents[1] / "corpus" / "layout1.tar.xz"


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A copy of the home, to be spoilt."""
    return copied_tree(home, tmp_path / "own")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path / "old" / "collections", filter="data")
    return tmp_path / "old"


def shard(home: Path) -> Path:
    (path,) = (home / "collections/plain/embeddings").glob("shard-*.parquet")
    return path


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_fits_together_is_said_line_by_line(mrag: Run) -> None:
    done = mrag("verify", "plain")
    assert done.code == 0, done.err
    assert all(line.startswith("ok ") for line in done.err.splitlines() if ":" in line[:20])
    assert "80 pictures and 400 captions, as in the shards" in done.err
    found = mrag("verify", "plain", "--json").answers
    assert [one["subject"] for one in found] == ["shards", "ledger", "map", "index"]
    assert all(one["ok"] and not one["remedy"] for one in found)


def test_a_damaged_shard_ends_with_1_and_is_mended(mrag: Run, own: Path) -> None:
    path = shard(own)
    spoil(path)
    done = mrag("verify", "plain", "--json", at=own)
    assert done.code == 1
    (found,) = done.answers
    assert (found["subject"], found["ok"]) == ("shard", False)
    assert str(path) in found["detail"]
    assert "mrag verify plain --mend" in found["remedy"]

    mended = mrag("verify", "plain", "--mend", at=own)
    assert mended.code == 0, mended.err
    assert f"set aside {path}.damaged" in mended.err
    assert mrag("verify", "plain", at=own).code == 0
    again = mrag("ingest", *SOURCE, "--json", at=own)
    assert again.code == 0, again.err
    assert again.answers[0]["embedded"] == 80
    assert mrag("verify", "plain", at=own).code == 0


def test_a_ledger_that_lies_is_mended(mrag: Run, own: Path) -> None:
    with closing(sqlite3.connect(own / "collections/plain/embeddings/ledger.sqlite")) as db, db:
        db.execute("delete from picture where place = 3")
    done = mrag("verify", "plain", at=own)
    assert done.code == 1
    assert "wrong    ledger: ledger.sqlite is not as it was written" in done.err
    assert mrag("verify", "plain", "--mend", at=own).code == 0
    assert mrag("verify", "plain", at=own).code == 0


def test_another_map_is_named_with_the_push_that_mends_it(mrag: Run, own: Path) -> None:
    assert mrag("fit", "plain", "--method", "centred", at=own).code == 0
    done = mrag("verify", "plain", at=own)
    assert done.code == 1
    assert "mend it with: mrag push plain" in done.err
    assert mrag("push", "plain", at=own).code == 0
    assert mrag("verify", "plain", at=own).code == 0


def test_a_rebuild_writes_every_point(mrag: Run, own: Path) -> None:
    (level,) = mrag("push", "plain", "--json", at=own).answers
    assert (level["images"], level["captions"], level["everything"]) == (0, 0, False)
    (rebuilt,) = mrag("push", "plain", "--rebuild", "--json", at=own).answers
    assert (rebuilt["images"], rebuilt["captions"], rebuilt["everything"]) == (80, 400, True)
    assert mrag("verify", "plain", at=own).code == 0


def test_a_compaction_says_what_it_let_go_of(mrag: Run, own: Path, tmp_path: Path) -> None:
    table = tmp_path / "pack" / TABLE.name
    shutil.copytree(TABLE.parent, table.parent)
    some = (table, "-c", "some", "--limit", "10", "--profile", "sample")
    assert mrag("embed", *some, at=own).code == 0
    for picture in (table.parent / "images").iterdir():
        picture.touch()
    assert mrag("embed", *some, at=own).code == 0
    (report,) = mrag("compact", "some", "--json", at=own).answers
    assert (report["collection"], report["rows_dropped"]) == ("some", 10)
    assert (report["shards_before"], report["shards_after"]) == (2, 1)
    assert report["bytes_after"] < 0.6 * report["bytes_before"]
    done = mrag("compact", "some", at=own)
    assert done.code == 0
    assert "let go of 0 rows" in done.err


def test_two_parts_and_an_ingest_make_what_one_ingest_makes(
    mrag: Run, home: Path, tmp_path: Path
) -> None:
    at = tmp_path / "home"
    for part in ("1/2", "2/2"):
        done = mrag("embed", *SOURCE, "--part", part, "--json", at=at)
        assert done.code == 0, done.err
        assert 20 < done.answers[0]["embedded"] < 60
    done = mrag("ingest", *SOURCE, "--json", at=at)
    assert done.code == 0, done.err
    (report,) = done.answers
    assert (report["embedded"], report["unchanged"], report["images"]) == (0, 80, 80)
    assert "took in 2 parts (1-of-2, 2-of-2): 80 pictures" in done.err
    asked = ("search", "a dog", "-c", "plain", "--json")
    hits = [
        [(hit["id"], round(hit["score"], 3)) for hit in mrag(*asked, at=each).answers[0]["hits"]]
        for each in (home, at)
    ]
    assert hits[0] == hits[1]
    assert mrag("verify", "plain", at=at).code == 0


@pytest.mark.parametrize("part", ["3/2", "0/1", "half"])
def test_what_is_no_part_is_refused_before_anything_is_made(
    mrag: Run, tmp_path: Path, part: str
) -> None:
    done = mrag("embed", *SOURCE, "--part", part, at=tmp_path / "home")
    assert done.code == 2
    assert "like 3/8" in done.err
    assert not (tmp_path / "home" / "collections" / "plain").exists()


def test_all_old_collections_are_brought_over_at_once(mrag: Run, old: Path) -> None:
    told = mrag("fit", "albums", at=old)
    assert told.code == 2
    assert "mrag migrate albums" in told.err
    done = mrag("migrate", "--json", at=old)
    assert done.code == 0, done.err
    (report,) = done.answers
    assert set(report["migrated"]) >= {"albums", "refined", "texts", "borrower", "broken"}
    assert "albums: brought over 23 pictures" in done.err
    assert "left out" in done.err
    for name in ("albums", "refined", "texts", "borrower"):
        checked = mrag("verify", name, at=old)
        assert "wrong" not in checked.err, (name, checked.err)
    again = mrag("migrate", at=old)
    assert again.code == 0
    assert "nothing to bring over" in again.err
    assert mrag("migrate", "--json", at=old).answers == [{"migrated": []}]


def test_an_index_of_an_earlier_version_is_brought_over(mrag: Run, own: Path) -> None:
    (card,) = own.glob("collections/plain/index/*/images/index.json")
    made = json.loads(card.read_text())
    card.write_text(json.dumps({**made, "fields": ["picture"]}))
    told = mrag("search", "two cats", "-c", "plain", at=own)
    assert told.code == 2
    assert "another version" in told.err
    assert "mrag push plain --rebuild" in told.err
    assert mrag("migrate", "--json", at=own).answers == [{"migrated": ["plain"]}]
    assert mrag("search", "two cats", "-c", "plain", at=own).code == 0
    assert mrag("migrate", "--json", at=own).answers == [{"migrated": []}]


def test_one_old_collection_is_brought_over_alone(mrag: Run, old: Path) -> None:
    (report,) = mrag("migrate", "albums", "--json", at=old).answers
    assert report["migrated"] == ["albums"]
    assert "mrag migrate refined" in mrag("fit", "refined", at=old).err
    assert mrag("migrate", "albums", "--json", at=old).answers == [{"migrated": []}]


@pytest.mark.parametrize("command", ["compact", "verify", "migrate"])
def test_a_collection_that_is_not_there_is_named(mrag: Run, tmp_path: Path, command: str) -> None:
    done = mrag(command, "nowhere", at=tmp_path)
    assert done.code == 3, done.err
    assert "nowhere" in done.err
