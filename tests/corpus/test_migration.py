"""Collections of the first layout, made by the last program that wrote it, come over exactly."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.described import DescribedShard
from corpus.ledger import Ledger
from corpus.migration import migrate, needs_migration
from corpus.refined import RefinedReader
from corpus.shards import Shard
from engine.alignment.alignment import Alignment
from engine.collection import CollectionFolder
from engine.errors import IncompatibleIndex
from engine.settings import Settings
from ingest.fit import fit_if_needed
from ingest.push import push

_HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((_HERE / "layout1.json").read_text(encoding="utf-8"))
WHOLE = ("albums", "refined", "texts", "borrower")


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    with tarfile.open(_HERE / "layout1.tar.xz") as archive:
        archive.extractall(tmp_path / "collections", filter="data")
    return tmp_path


def bits(array: np.ndarray) -> str:
    return np.ascontiguousarray(array).tobytes().hex()


def pictures(folder: CollectionFolder) -> list[dict[str, Any]]:
    """What the program reads now, told as the old one told it."""
    found = []
    with Ledger.open(folder) as ledger:
        reader = RefinedReader(folder.rounds)
        for file in ledger.shards():
            live, shard = ledger.live(file.number), Shard(file)
            generated = {one.row: one for one in ledger.generated_in(file.number)}
            standing = reader.by_picture(ledger.refined.standing_in(file.number))
            for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
                (name,) = entry.names
                one: dict[str, Any] = {
                    "image_id": name.image_id,
                    "uri": name.uri,
                    "path": name.path,
                    "size": name.size,
                    "mtime_ns": name.mtime_ns,
                    "sha256": entry.sha256,
                    "width": entry.width,
                    "height": entry.height,
                    "taken_at": entry.taken_at,
                    "captions": list(entry.captions),
                    "split": entry.split,
                    "tags": list(entry.tags),
                    "vector": bits(shard.images[row]),
                    "caption_vectors": [bits(v) for v in shard.captions[shard.span(row)]],
                }
                if row in generated:
                    place = generated[row]
                    described = DescribedShard(ledger.described_shard(place.shard))
                    text, vector = described.caption(place.described_row)
                    one["description"] = {"text": text, "vector": bits(vector)}
                if row in standing:
                    one["refined"] = [
                        {"text": text, "round": at.round, "vector": bits(vector)}
                        for at, text, vector in standing[row]
                    ]
                found.append(one)
    return found


def loose(folder: CollectionFolder) -> list[dict[str, Any]]:
    with Ledger.open(folder) as ledger:
        return [
            {
                "text": one.text,
                "image_id": one.image_id,
                "split": one.split,
                "vector": bits(shard.captions[shard.offsets[row]]),
            }
            for file in ledger.shards()
            for shard in [Shard(file)]
            for live in [ledger.live(file.number)]
            for row, one in zip(live.loose, shard.loose_captions(live.loose), strict=True)
        ]


def said(caption: dict[str, Any]) -> tuple[str, str]:
    return caption["image_id"], caption["text"]


@pytest.mark.parametrize("name", WHOLE)
def test_all_that_the_old_program_read_is_read_now(old_home: Path, name: str) -> None:
    folder, told = CollectionFolder(old_home, name), EXPECTED[name]
    assert needs_migration(folder)
    migrate(folder)
    assert not needs_migration(folder)
    assert not list(folder.path.rglob("shard-*.safetensors"))

    by_content = {one["sha256"]: one for one in pictures(folder)}
    assert by_content == {one["sha256"]: json.loads(json.dumps(one)) for one in told["pictures"]}
    first = {said(one): one for one in reversed(told["loose"])}
    assert {said(one): one for one in loose(folder)} == first
    with Ledger.open(folder) as ledger:
        assert ledger.census()._asdict() == told["census"]
        assert ledger.pictures() == told["counts"]["pictures"]
        assert ledger.captions() == told["counts"]["captions"]
        assert ledger.undescribed() == told["counts"]["undescribed"]
        counts = {str(number): count for number, count in ledger.refined.counts().items()}
        assert counts == {str(n): count for n, count in told["standing_by_round"].items()}
    alignment = Alignment.load(folder.alignment)
    assert alignment.fitted_on["request"] == told["fit"]["request"]
    for array in ("mean_image", "mean_text", "matrix"):
        kept = getattr(alignment, array)
        assert (None if kept is None else bits(kept)) == told["map"][array]
    assert folder.read_card().encoder_id == told["card"]["encoder_id"]


@pytest.mark.parametrize("name", WHOLE)
def test_what_was_brought_over_is_fitted_once_and_answers(old_home: Path, name: str) -> None:
    """Once, as a map of then knows no bank to tell hubs by."""
    settings = Settings(home=old_home, qdrant_url="")
    names = ("texts", "borrower") if name == "borrower" else (name,)
    for one in names:
        migrate(CollectionFolder(old_home, one))
    for one in names:
        folder = CollectionFolder(old_home, one)
        card = folder.read_card()
        _, fitted = fit_if_needed(folder, card)
        _, again = fit_if_needed(folder, card)
        assert fitted
        assert not again
        report = push(folder, card, settings)
        assert report.images == len(EXPECTED[one]["pictures"])
        next_push = push(folder, card, settings)
        assert (next_push.points, next_push.deleted, next_push.everything) == (0, 0, False)


def test_who_opens_an_old_collection_is_told_how_to_bring_it_over(old_home: Path) -> None:
    with pytest.raises(IncompatibleIndex, match="mrag migrate albums"):
        CollectionFolder(old_home, "albums").read_card()


def test_a_collection_that_a_lone_surrogate_had_bricked_is_mended(old_home: Path) -> None:
    folder = CollectionFolder(old_home, "broken")
    report = migrate(folder)
    assert report.pictures == 3
    assert len(report.left_out) == 2
    assert len(pictures(folder)) == 3
    texts = sorted(text for one in pictures(folder) for text in one["captions"])
    assert texts == ["caption of 0", "caption of 2"]
    assert loose(folder) == []


def test_a_migration_twice_is_a_migration_once(old_home: Path) -> None:
    folder = CollectionFolder(old_home, "albums")
    migrate(folder)
    before = pictures(folder)
    migrate(folder)
    assert pictures(folder) == before
