"""Brings a collection level with the sources that it knows, by the steps of an ingest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Literal

import numpy as np

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import Counted, Leaving, Record
from corpus.tables import loose_key, path_key
from engine.app import Engine
from engine.collection import CollectionFolder
from engine.errors import TooMuchLeaves
from engine.legible import legible
from engine.progress import OnProgress, silent
from ingest.filling import fill, specs_of_card
from ingest.given import Given
from ingest.leaving import joined
from ingest.parts import adopt_parts
from ingest.pipeline import IngestReport, past_damage, pushed_commit
from ingest.reporting import ingest_json
from ingest.sources import Sources
from ingest.survey import Survey, records_of, survey

Allowed = Literal["little", "rest", "all"]
"""What may leave: `little` refuses a sync by which too much would, `rest` does all but that."""


Bring = Callable[[Iterable[Record], Leaving], IngestReport]
"""Takes records into a collection, and out of it what is leaving."""


@dataclass(frozen=True)
class SyncReport:
    """What a sync found and did; `done` is None where nothing was to be done, or only looked.

    `kept`: so much would have left that nothing did.
    """

    found: Survey
    done: IngestReport | None
    seconds: float
    dry_run: bool = False
    kept: bool = False

    @property
    def failed(self) -> bool:
        """Whether some of it was out of reach, unreadable, or kept for want of a word."""
        skipped = self.done.embed.skipped if self.done else {}
        bad = any(count for kind, count in skipped.items() if kind != "duplicate")
        return self.found.trouble or self.kept or bad

    @property
    def text(self) -> str:
        """A few lines for a person."""
        return "\n".join(map(legible, [*_counts(self), *_details(self)]))

    @property
    def troubles(self) -> list[str]:
        """What could not be looked at as it should be, each in a line."""
        return list(map(legible, _trouble_lines(self.found)))

    @property
    def plain(self) -> str:
        """The same without saying where anything lies."""
        return "\n".join(_counts(self))


def preview(engine: Engine, name: str, on_progress: OnProgress = silent) -> SyncReport:
    """What a sync would do; nothing is written. Raises NothingToSync where no source is known."""
    started = monotonic()
    folder = engine.folder(name)
    folder.read_card()
    with Given() as given, Ledger.read(folder) as ledger:
        found = survey(folder, ledger, given, on_progress)
    return SyncReport(found, None, monotonic() - started, dry_run=True)


def sync(
    engine: Engine, name: str, *, allowed: Allowed = "little", on_progress: OnProgress = silent
) -> SyncReport:
    """Take in what is new in the sources of a collection, and let go of what is in none any more.

    Killed at any moment and run again it goes on. A second one finds nothing. Raises
    NothingToSync where no source is known, TooMuchLeaves where only `all` would allow what leaves,
    and what an ingest raises.
    """
    folder = engine.folder(name)
    folder.read_card()

    def bring(records: Iterable[Record], leaving: Leaving) -> IngestReport:
        models = specs_of_card(engine, name)
        return fill(engine, records, name, models=models, leaving=leaving, on_progress=on_progress)

    return brought_level(folder, bring, allowed=allowed, on_progress=on_progress)


def brought_level(
    folder: CollectionFolder,
    bring: Bring,
    *,
    allowed: Allowed = "little",
    on_progress: OnProgress = silent,
) -> SyncReport:
    """Sync by what brings records into the collection and lets go of others; see `sync`."""
    started = monotonic()
    with writing(folder), Given() as given:
        adopt_parts(folder, on_progress)
        Sources(folder).sweep()
        (found, level), _ = past_damage(lambda: _surveyed(folder, given, on_progress))
        if found.too_much and allowed == "little":
            raise TooMuchLeaves(_too_much(folder.name, found))
        kept = found.too_much and allowed == "rest"
        leaving = Leaving() if kept else found.leaving
        _keep_given(folder, found, Leaving())
        done = None
        idle = not found.changes or (kept and found.only_leaves)
        if not (idle and level):
            done = bring(Counted(records_of(given), lambda: found.to_embed), leaving)
        _keep_given(folder, found, leaving)
        return SyncReport(found, done, monotonic() - started, kept=kept)


def _surveyed(
    folder: CollectionFolder, given: Given, on_progress: OnProgress
) -> tuple[Survey, bool]:
    """What is to be done, and whether all that was done before has been finished."""
    given.clear()
    with Ledger.open(folder) as ledger:
        found = survey(folder, ledger, given, on_progress)
        return found, _is_level(folder, ledger)


def _is_level(folder: CollectionFolder, ledger: Ledger) -> bool:
    """Whether the index knows all of the corpus, and what could be described has been."""
    if pushed_commit(folder) < ledger.last_commit():
        return False
    lends = ledger.captions() or folder.read_card().memory
    return not (lends and ledger.undescribed())


def _keep_given(folder: CollectionFolder, found: Survey, left: Leaving) -> None:
    """Keep what files give or gave, without what has left the collection."""
    sources = Sources(folder)
    keys = [path_key(path) for path in left.files] + [loose_key(one) for one in left.captions]
    gone = np.array(keys, np.int64)
    for state in found.states:
        if not state.is_folder:
            sources.keep_given(state.source, np.setdiff1d(joined([state.gave, state.gives]), gone))
        if state.whole and state.unread != state.source.unread:
            sources.update(replace(state.source, unread=state.unread))


def _too_much(name: str, found: Survey) -> str:
    gone, captions = found.counts["gone"], found.captions_gone + found.captions_lost
    told = [
        f"{gone:,} of {found.pictures:,} pictures" if gone else "",
        f"{captions:,} of {found.captions:,} captions" if captions else "",
    ]
    return (
        f"{' and '.join(filter(None, told))} would leave collection {name!r}; nothing was changed. "
        f"See which: mrag sync --collection {name} --dry-run; if it is meant, say so with --yes"
    )


def _counts(report: SyncReport) -> Iterator[str]:
    found, counts = report.found, report.found.counts
    would = "would be: " if report.dry_run else ""
    yield (
        f"{would}{counts['new']:,} new, {counts['changed']:,} changed, {counts['moved']:,} moved, "
        f"{counts['gone']:,} gone; {found.unchanged:,} unchanged ({report.seconds:.1f} s)"
    )
    if found.captions_new or found.captions_gone or found.captions_lost:
        lost = found.captions_gone + found.captions_lost
        yield f"captions: {found.captions_new:,} new, {lost:,} gone"
    if report.kept:
        yield "nothing was let go of, as it would be much; to let it go: mrag sync --yes"
    away = sum(bool(state.trouble) for state in found.states)
    if away or found.held:
        yield f"out of reach: {away:,} sources, {sum(found.held.values()):,} more files"


def _details(report: SyncReport) -> Iterator[str]:
    if report.dry_run:
        yield from _named_lines(report.found)
    yield from _trouble_lines(report.found)
    if report.done is not None:
        yield from report.done.text.splitlines()


def _named_lines(found: Survey) -> Iterator[str]:
    for kind, names in found.examples.items():
        count = found.captions_gone if kind == "captions" else found.counts[kind]
        yield from (f"  {'gone' if kind == 'captions' else kind}: {name}" for name in names)
        if count > len(names):
            yield f"  {kind}: ... and {count - len(names):,} more"


def _trouble_lines(found: Survey) -> Iterator[str]:
    for state in found.states:
        if state.trouble:
            yield f"left alone: {state.source.path} {state.trouble}"
        if state.skipped:
            yield f"could not be read: {state.skipped:,} parts of {state.source.path}"
            yield from (f"  {one.uri}: {one.reason}" for one in state.examples)
    for folder, count in found.held.items():
        yield (
            f"left alone: {count:,} pictures of {folder}, which is empty or cannot be read, as it "
            "may not be mounted; if they are to go, delete the folder"
        )
    if found.bad:
        yield f"{found.bad:,} files could not be read before, and have not changed since"


def sync_json(name: str, report: SyncReport) -> dict[str, Any]:
    """The stable JSON form of a sync."""
    found = report.found
    done = report.done and ingest_json(name, report.done)
    return {
        "collection": name,
        **{kind: found.counts[kind] for kind in ("new", "changed", "moved", "gone")},
        "unchanged": found.unchanged,
        "captions_new": found.captions_new,
        "captions_gone": found.captions_gone + found.captions_lost,
        "held": sum(found.held.values()),
        "bad": found.bad,
        "kept": report.kept,
        "failed": report.failed,
        "changed_anything": report.done is not None,
        "dry_run": report.dry_run,
        "examples": {kind: list(names) for kind, names in found.examples.items()},
        "sources": [
            {"source": state.source.path, "trouble": state.trouble} for state in found.states
        ],
        "ingest": done,
        "skipped": done["skipped"] if done else {},
        "seconds": report.seconds,
    }
