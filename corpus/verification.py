"""Holds the shards against their checksums, and the ledger against the shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus import database
from corpus.corrections import CorrectionShard
from corpus.described import DescribedShard, RoundShard
from corpus.ledger import Ledger, forget_ledger, set_aside
from corpus.lock import writing
from corpus.parquet import DamagedShard, ShardFile, shard_files
from corpus.shards import Shard
from engine.collection import CollectionFolder
from engine.progress import OnProgress, Progress, check_cancelled, silent


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what came of it; `remedy` mends it, "" where nothing is wrong."""

    subject: str
    detail: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return not self.remedy


def check_corpus(folder: CollectionFolder, on_progress: OnProgress = silent) -> list[Finding]:
    """Read every byte of every shard, and make the ledger once more to hold it against the old."""
    places = _places(folder)
    files = [file for place in places for file in shard_files(place).values()]
    damaged = []
    for done, file in enumerate(files):
        check_cancelled()
        on_progress(Progress("verify", done, len(files)))
        damaged += [file] if _damage(folder, file) else []
    on_progress(Progress("verify", len(files), len(files)))
    mend = f"mrag verify {folder.name} --mend, and ingest again"
    findings = [Finding("shard", f"{file.path} is damaged", mend) for file in damaged]
    if not damaged:
        size = sum(file.path.stat().st_size for file in files)
        findings.append(Finding("shards", f"{len(files):,}, {size:,} bytes: as they were written"))
        findings.append(_ledger(folder, mend))
    aside = [path for place in places for path in place.glob("*.damaged")]
    if aside:
        told = f"{len(aside)} damaged files were set aside; once all is ingested again delete them"
        findings.append(Finding("set aside", f"{told}: {', '.join(map(str, aside))}"))
    return findings


def mend_corpus(folder: CollectionFolder) -> list[Path]:
    """Set damaged shards aside and make the ledger anew; where the shards lie now."""
    with writing(folder):
        places = _places(folder)
        files = [file for place in places for file in shard_files(place).values()]
        aside = [set_aside(file.path) for file in files if _damage(folder, file)]
        forget_ledger(folder)
        Ledger.open(folder).close()
        return aside


def _places(folder: CollectionFolder) -> tuple[Path, ...]:
    """Where shards lie."""
    return (folder.embeddings, folder.generated, folder.rounds, folder.corrections)


def _damage(folder: CollectionFolder, file: ShardFile) -> str:
    """What is wrong with a shard; "" where nothing is."""
    if not file.is_whole():
        return "its checksum is not that in its name"
    try:
        if file.path.parent == folder.embeddings:
            Shard(file).columns.table()
        elif file.path.parent == folder.generated:
            DescribedShard(file).columns.table()
        elif file.path.parent == folder.corrections:
            CorrectionShard(file).columns.table()
        else:
            RoundShard(file).columns.table()
    except DamagedShard as error:
        return str(error)
    return ""


def _ledger(folder: CollectionFolder, mend: str) -> Finding:
    told = database.breach(folder.embeddings)
    if told:
        return Finding("ledger", f"{told}: it is made anew when it is next written", mend)
    with Ledger.read(folder) as known, Ledger.made_anew(folder) as anew:
        differs = known.differs_from(anew)
        if differs:
            return Finding("ledger", f"its {differs} are not those of the shards", mend)
        return Finding(
            "ledger",
            f"{anew.pictures():,} pictures, {anew.captions():,} captions, as in the shards",
        )
