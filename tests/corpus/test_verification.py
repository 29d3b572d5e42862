"""Shards are held against their checksums, the ledger against the shards; and both are mended."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from corpus import database
from corpus.database import Database
from corpus.ledger import Ledger
from corpus.parquet import shard_files
from corpus.verification import Finding, check_corpus, mend_corpus
from engine.collection import CollectionFolder
from engine.errors import Damaged
from tests.corpus.test_damage import fill

KINDS = ["embeddings", "generated", "rounds"]


@pytest.fixture
def filled(folder: CollectionFolder) -> CollectionFolder:
    """A shard of each kind, and a ledger of them."""
    fill(folder)
    Ledger.open(folder).close()
    return folder


def wrong(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if not one.ok]


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_what_is_whole_is_said_to_be(filled: CollectionFolder) -> None:
    shards, ledger = check_corpus(filled)
    assert (shards.subject, ledger.subject, shards.ok, ledger.ok) == (
        "shards",
        "ledger",
        True,
        True,
    )
    assert shards.detail.startswith("3, ")
    assert "40 pictures" in ledger.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [4, 0.3, 0.6, 0.95, -1])
def test_a_flipped_bit_of_any_shard_is_found_named_and_mended(
    filled: CollectionFolder, kind: str, where: float
) -> None:
    (file,) = shard_files(getattr(filled, kind)).values()
    size = file.path.stat().st_size
    flip(file.path, int(where * size) if 0 < where < 1 else int(where))
    (found,) = wrong(check_corpus(filled))
    assert str(file.path) in found.detail
    assert "--mend" in found.remedy
    assert mend_corpus(filled) == [file.path.with_name(f"{file.path.name}.damaged")]
    after = check_corpus(filled)
    assert wrong(after) == []
    assert after[-1].subject == "set aside"
    assert f"{file.path}.damaged" in after[-1].detail


def test_all_damaged_shards_are_named(filled: CollectionFolder) -> None:
    paths = [file.path for kind in KINDS for file in shard_files(getattr(filled, kind)).values()]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-100])
    found = wrong(check_corpus(filled))
    assert [str(path) in one.detail for path, one in zip(paths, found, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ("update picture set captions = captions + 1 where captions > 0", "pictures"),
        (
            "update picture set since = 99 where captions = 0",
            "pictures",
        ),
        ("delete from picture where place = (select max(place) from picture)", "pictures"),
        ("update file set mtime_ns = 1", "files"),
        ("delete from file where path_key = (select min(path_key) from file)", "files"),
        ("delete from loose where key = (select max(key) from loose)", "captions"),
        ("update described set place = place + 1", "descriptions"),
        ("delete from refined where row = 3", "captions of rounds"),
    ],
)
def test_a_ledger_that_lies_is_found_out_and_made_anew(
    filled: CollectionFolder, lie: str, what: str
) -> None:
    with closing(sqlite3.connect(filled.embeddings / "ledger.sqlite")) as db, db:
        assert db.execute(lie).rowcount > 0
    database.unseal(filled.embeddings)  # as if the program itself had written it
    (found,) = wrong(check_corpus(filled))
    assert (found.subject, found.detail) == (
        "ledger",
        f"its {what} are not those of the shards",
    )
    assert mend_corpus(filled) == []
    assert wrong(check_corpus(filled)) == []


def test_a_lost_ledger_is_nothing_wrong(filled: CollectionFolder) -> None:
    for path in filled.embeddings.glob("ledger.sqlite*"):
        path.unlink()
    assert wrong(check_corpus(filled)) == []


def test_a_shard_that_was_put_under_another_number_is_found(filled: CollectionFolder) -> None:
    """The ledger knows no shard of that number, and its own is gone: a reader makes one anew."""
    (file,) = shard_files(filled.embeddings).values()
    file.path.rename(file.path.with_name(file.path.name.replace("00000", "00007")))
    assert wrong(check_corpus(filled)) == []
    with Ledger.open(filled) as ledger:
        assert ledger.pictures() == 40


@pytest.mark.parametrize("seed", range(6))
def test_a_ledger_with_flipped_bits_is_not_believed(
    filled: CollectionFolder, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger.read(filled) as ledger:
        known = ledger.pictures(), ledger.captions(), sorted(ledger.sha256s())
    path, order = filled.embeddings / "ledger.sqlite", random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(20):
        content[order.randrange(len(content))] ^= 1 << order.randrange(8)
    path.write_bytes(content)
    assert wrong(check_corpus(filled))
    for way in (Ledger.read, Ledger.open, Ledger.read):
        with way(filled) as ledger:
            assert (ledger.pictures(), ledger.captions(), sorted(ledger.sha256s())) == known
    assert "made anew from the shards" in caplog.text
    assert wrong(check_corpus(filled)) == []


def test_damage_that_shows_while_a_ledger_is_read_has_a_remedy(filled: CollectionFolder) -> None:
    """As where it was written when it was damaged, so that no seal tells."""
    database.unseal(filled.embeddings)
    path = filled.embeddings / "ledger.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    with pytest.raises(Damaged, match=f"mrag verify {filled.name} --mend"):
        Database.to(path, writable=False).execute("select * from picture").fetchall()
    assert mend_corpus(filled) == []
    assert wrong(check_corpus(filled)) == []
