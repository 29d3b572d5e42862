"""Holds shards, ledger, index and map of a collection against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus.ledger import Ledger, set_aside
from corpus.verification import Finding, check_corpus, mend_corpus
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import AlignmentError, CollectionMissing, MragError, StoreLocked
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.store import check_bytes, open_caption_store, open_image_store, picture_id
from engine.store.generations import answering, current
from engine.store.interface import INDEXES
from engine.tags.tagging import tagging_path, undoing, usable_taggings
from ingest.fit import fit
from ingest.labels import stamps
from ingest.push import push


def verify(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    on_progress: OnProgress = silent,
) -> list[Finding]:
    """Everything that can be held against something else, by counts and checksums."""
    findings = check_corpus(folder, on_progress)
    if not all(finding.ok for finding in findings):
        return findings  # what is derived from damaged shards says nothing
    findings += [*_map(folder, card), *_taggings(folder, card)]
    return [*findings, *_index(folder, card, settings)]


def mend(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    on_progress: OnProgress = silent,
) -> list[str]:
    """Do what mends the findings; what was done, in lines.

    What was in a damaged shard is embedded again by the next ingest of its source; the labels of
    a damaged tagging have to be given again.
    """
    aside = [*mend_corpus(folder), *_damaged_taggings(folder, card)]
    done = [f"set aside {path}" for path in aside]
    done.append("made the ledger anew")
    if not all(finding.ok for finding in _map(folder, card)):
        done.append(_mend_map(folder, card, on_progress))
    report = push(folder, card, settings, rebuild=True, on_progress=on_progress)
    done.append(f"wrote the index anew: {report.points:,} points")
    return done


def _mend_map(folder: CollectionFolder, card: CollectionCard, on_progress: OnProgress) -> str:
    """Take the map that the index was written with; where that will not do either, fit one."""
    answers = current(folder)
    if answers is not None:
        try:
            alignment = Alignment.load(answers.alignment)
        except AlignmentError:
            pass
        else:
            if (alignment.encoder_id, alignment.dim) == (card.encoder_id, card.dim):
                alignment.save(folder.alignment)
                return "took the map that the index was written with"
    fit(folder, card, on_progress=on_progress)
    return "fitted the map anew"


def _map(folder: CollectionFolder, card: CollectionCard) -> Iterator[Finding]:
    refit = f"mrag fit {card.name} && mrag push {card.name}"
    if not folder.alignment.is_file():
        yield Finding("map", "not fitted yet", refit)
        return
    try:
        alignment = Alignment.load(folder.alignment)
    except AlignmentError as error:
        yield Finding("map", str(error), refit)
        return
    if (alignment.encoder_id, alignment.dim) != (card.encoder_id, card.dim):
        told = f"{alignment.encoder_id} ({alignment.dim} dimensions)"
        yield Finding("map", f"it is of encoder {told}, not of the collection's", refit)
        return
    yield Finding("map", f"{alignment.method}, fitted on {alignment.n:,g} pairs")


def _taggings(folder: CollectionFolder, card: CollectionCard) -> Iterator[Finding]:
    found, troubles = usable_taggings(folder.tags, card.encoder_id, card.dim)
    for one in found:
        yield Finding("labels", f"{one.name}: {len(one.tagger.labels):,} labels")
    for name, trouble in troubles.items():
        yield Finding("labels", trouble, undoing(folder.tags, name))


def _damaged_taggings(folder: CollectionFolder, card: CollectionCard) -> Iterator[Path]:
    """Set aside taggings that give nothing, as they cannot be read; where they lie then."""
    for name in usable_taggings(folder.tags, card.encoder_id, card.dim)[1]:
        yield set_aside(tagging_path(folder.tags, name))


def _index(folder: CollectionFolder, card: CollectionCard, settings: Settings) -> Iterator[Finding]:
    rebuild = f"mrag push {card.name} --rebuild"
    try:
        generation, state = answering(folder, settings.qdrant_url)
        try:
            written_with = Alignment.load(generation.alignment)
        except AlignmentError:
            yield Finding("index", f"its map {generation.alignment} is damaged", rebuild)
            return
        if not written_with.maps_like(Alignment.load(folder.alignment)):
            told = "it was written with another map than was fitted last, which it goes on using"
            yield Finding("index", told, f"mrag push {card.name}")
        with Ledger.read(folder) as ledger:
            if state.commit < ledger.last_commit() or set(state.rounds) != set(
                ledger.refined.rounds()
            ):
                told = "there is more in the shards than it has been told"
                yield Finding("index", told, f"mrag push {card.name}")
                return
            if state.tags != stamps(folder):
                told = "its pictures have not the labels of the taggings as they stand"
                yield Finding("index", told, f"mrag push {card.name}")
                return
            if not settings.qdrant_url:
                for name in INDEXES:
                    check_bytes(generation.index(name), card.name)
            yield from _counts(folder, card, settings, ledger, rebuild)
    except CollectionMissing as error:
        yield Finding("index", str(error), f"mrag push {card.name}")
    except StoreLocked as error:
        yield Finding(
            "index", f"not looked at: {error}", f"mrag verify {card.name}, once it is free"
        )
    except MragError as error:
        yield Finding("index", str(error), rebuild)


def _counts(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    ledger: Ledger,
    rebuild: str,
) -> Iterator[Finding]:
    with open_image_store(folder, card, settings) as images:
        expected = {picture_id(sha256) for sha256 in ledger.sha256s()}
        there = set(images.ids())
        if there != expected:
            told = (
                f"of {len(expected):,} pictures it lacks {len(expected - there):,}, and it has "
                f"{len(there - expected):,} that are none"
            )
            yield Finding("index", told, rebuild)
            return
    with open_caption_store(folder, card, settings) as captions:
        count, wanted = captions.count(), ledger.indexed_captions()
        if count != wanted:
            yield Finding("index", f"it has {count:,} captions, not {wanted:,}", rebuild)
            return
    yield Finding("index", f"{len(expected):,} pictures and {wanted:,} captions, as in the shards")
