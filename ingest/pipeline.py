"""The whole way of the data: embed, fit, push, describe, and push what was described."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from operator import length_hint
from pathlib import Path
from time import monotonic
from typing import TypeVar

from corpus.compaction import DEAD_SHARE, CompactReport, compact, dead_share
from corpus.ledger import Ledger, set_aside
from corpus.lock import writing
from corpus.migration import MigrateReport, migrate, needs_migration
from corpus.parquet import DamagedShard
from corpus.records import Counted, Leaving, Record, WholeFolder
from corpus.shards import encoder_of
from engine.alignment.alignment import Alignment
from engine.alignment.closed_form import AnyMethod
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput, SourceError, StoreLocked
from engine.legible import legible
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.store.generations import current
from engine.types import Encoder
from ingest.corrections import take_in
from ingest.describe import Describer, DescribeReport, describe
from ingest.embed import EmbedOptions, EmbedReport, embed
from ingest.fit import fit_if_needed
from ingest.parts import AdoptReport, Part, adopt_parts, embed_part
from ingest.push import PushReport, push
from ingest.sources import Source, Sources, noted

Done = TypeVar("Done")


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, step by step.

    `alignment` is None while there is nothing to fit on, `fitted` says whether it is new.
    `described` is None if nothing could describe; `undescribed` pictures have no caption yet.
    `migrated`: the collection was brought over from an earlier layout first. `adopted`: parts that
    were taken in. `compacted`: what has been superseded was let go of. `damaged` shards were set
    aside.
    """

    embed: EmbedReport
    pictures: int
    captions: int
    undescribed: int
    alignment: Alignment | None = None
    fitted: bool = False
    push: PushReport | None = None
    described: DescribeReport | None = None
    seconds: float = 0.0
    migrated: MigrateReport | None = None
    adopted: AdoptReport = field(default_factory=AdoptReport)
    compacted: CompactReport | None = None
    damaged: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """A few lines for a person."""
        return "\n".join(map(legible, _lines(self)))


def ingest(
    records: Iterable[Record],
    *,
    name: str,
    encoder: Encoder,
    encoder_spec: str,
    generator_spec: str,
    settings: Settings,
    memory: str = "",
    alignment: str = "",
    method: AnyMethod = "auto",
    captioner_factory: Callable[[], Describer] | None = None,
    source: Source | None = None,
    leaving: Leaving | None = None,
    on_progress: OnProgress = silent,
) -> IngestReport:
    """Bring a source into a collection, which is made if there is none of that name.

    `memory` names the collection whose captions describe these pictures, `alignment` one whose
    map is taken. `captioner_factory` is called once the captions are pushed, and only if there
    are pictures without captions; None: they stay without. What has been done before is not
    done again. The collection knows the `source` of the records from now on; what is `leaving` it
    is withdrawn.

    Raises IncompatibleIndex for a collection of another encoder, SourceError for a source of
    which nothing can be taken where there is no collection yet (none is made then),
    StoreUnavailable while another process writes.
    """
    started = monotonic()
    folder = CollectionFolder(settings.home, name)
    with _made_if_filled(folder), writing(folder):
        migrated = migrate(folder, on_progress) if needs_migration(folder) else None
        known = folder.exists()
        if known and memory:
            _check_memory(folder, encoder, memory)
        adopted = adopt_parts(folder, on_progress) if known else AdoptReport()
        embedded = embed_only(
            records,
            name=name,
            encoder=encoder,
            encoder_spec=encoder_spec,
            generator_spec=generator_spec,
            settings=settings,
            memory="" if known else memory,
            source=source,
            leaving=leaving,
            on_progress=on_progress,
        )
        take_in(folder, encoder)
        card = folder.read_card()
        card = replace(card, memory=memory or card.memory)
        fit = partial(fit_if_needed, folder, card, method=method, other=alignment)
        level = partial(push, folder, card, settings)
        tell = None
        if captioner_factory is not None:
            tell = partial(describe, folder, encoder, captioner_factory)
        done = IngestReport(embedded, *_counts(folder), migrated=migrated, adopted=adopted)
        done, damaged = past_damage(
            lambda: _carry_on(done, folder, card, fit, level, tell, on_progress)
        )
        compacted, more = past_damage(lambda: compact_if_worth_it(folder, on_progress))
        return replace(
            done,
            undescribed=_counts(folder)[2],
            compacted=compacted,
            damaged=(*embedded.damaged, *damaged, *more),
            seconds=monotonic() - started,
        )


def compact_if_worth_it(
    folder: CollectionFolder, on_progress: OnProgress = silent
) -> CompactReport | None:
    """Compact a collection of which enough has been superseded."""
    if dead_share(folder) < DEAD_SHARE:
        return None
    return compact(folder, pushed=pushed_commit(folder), on_progress=on_progress)


def pushed_commit(folder: CollectionFolder) -> int:
    """The commit up to which the index that answers knows the corpus; -1 without one."""
    generation = current(folder)
    state = generation.read_state() if generation else None
    return state.commit if state else -1


def past_damage(step: Callable[[], Done]) -> tuple[Done, list[Path]]:
    """Take a step that does nothing twice, without the shards that turn out to be damaged."""
    damaged: list[Path] = []
    while True:
        try:
            return step(), damaged
        except DamagedShard as error:
            set_aside(error.path)
            damaged.append(error.path)


def _carry_on(
    done: IngestReport,
    folder: CollectionFolder,
    card: CollectionCard,
    fit: Callable[..., tuple[Alignment, bool]],
    level: Callable[..., PushReport],
    tell: Callable[..., DescribeReport] | None,
    on_progress: OnProgress,
) -> IngestReport:
    """Fit, push, describe, and push what was described: as far as there is anything to."""
    if not (done.pictures or done.captions or folder.alignment.is_file()):
        folder.write_card(card)
        return done
    found, fitted = fit(on_progress=on_progress)
    # Only now: before the fit, who describes meanwhile has no map for another memory.
    folder.write_card(card)
    pushed, described = level(on_progress=on_progress), None
    if tell is not None and (done.captions or card.memory):
        described = tell(on_progress=on_progress)
        if described.described:
            pushed = _both(pushed, level(on_progress=on_progress))
    return replace(done, alignment=found, fitted=fitted, push=pushed, described=described)


def embed_only(
    records: Iterable[Record],
    *,
    name: str,
    encoder: Encoder,
    encoder_spec: str,
    generator_spec: str,
    settings: Settings,
    memory: str = "",
    part: Part | None = None,
    source: Source | None = None,
    leaving: Leaving | None = None,
    on_progress: OnProgress = silent,
) -> EmbedReport:
    """The first step of `ingest` alone: make the collection if need be, and embed.

    Raises SourceError where nothing of the source can be taken into a new collection; none is made.
    With `part` only that share of the source, into a folder of its own: any number of processes
    may do so at once, and the next ingest takes in what they have finished.
    """
    folder = CollectionFolder(settings.home, name)
    records = _begun(records, folder)
    stills = settings.home / "thumbnails"
    how = EmbedOptions(settings.limits, settings.batch_size, settings.workers, stills=stills)
    card = partial(_card, folder, encoder, encoder_spec, generator_spec, memory)
    if part is not None:
        wanted = card()
        if not folder.exists():
            folder.write_card(wanted)  # who comes second writes the same; parts do not change it
        with noted(records, source, folder) as told:
            return embed_part(told, part, encoder, folder, wanted, how, on_progress=on_progress)
    with _made_if_filled(folder), writing(folder):
        folder.write_card(card())
        adopt_parts(folder, on_progress)
        Sources(folder).sweep()
        with noted(records, source, folder) as told:
            report = embed(told, encoder, folder, how, leaving=leaving, on_progress=on_progress)
        if _is_empty(folder):
            raise SourceError(
                "nothing of the source could be taken in, so there is nothing to keep:\n"
                + "\n".join(map(legible, _skip_lines(report)))
            )
        return report


@contextmanager
def _made_if_filled(folder: CollectionFolder) -> Iterator[None]:
    """Remove a collection again that was made just now and that nothing came into."""
    is_new = not folder.path.exists()
    try:
        yield
    finally:
        if is_new and folder.path.exists():
            with suppress(StoreLocked), writing(folder):
                if _is_empty(folder):
                    shutil.rmtree(folder.path, ignore_errors=True)


def _is_empty(folder: CollectionFolder) -> bool:
    """Whether nothing was ever written to a collection, by a part of it neither."""
    shards = (
        path for kept in (folder.embeddings, folder.generated) for path in kept.glob("shard-*")
    )
    return not (any(shards) or (folder.path / "parts").exists())


def _begun(records: Iterable[Record], folder: CollectionFolder) -> Iterable[Record]:
    """The records, once the source has shown that it can be read: else nothing is made."""
    if folder.exists():
        return records
    rest: Iterator[Record] = iter(records)
    first = next(rest, None)
    if first is None or isinstance(first, WholeFolder):
        raise SourceError(
            "the source holds neither pictures nor captions; give a folder with pictures, or a "
            "file that names them"
        )
    more = length_hint(rest)
    return Counted(chain([first], rest), lambda: 1 + more if more else 0)


def _card(
    folder: CollectionFolder,
    encoder: Encoder,
    encoder_spec: str,
    generator_spec: str,
    memory: str,
) -> CollectionCard:
    """The collection's card, new or as it was with what is named now."""
    if memory:
        _check_memory(folder, encoder, memory)
    if not folder.exists():
        _check_leftovers(folder, encoder)
        return CollectionCard(
            name=folder.name,
            encoder=encoder_spec,
            encoder_id=encoder.id,
            dim=encoder.dim,
            generator=generator_spec,
            memory=memory,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    card = folder.read_card()
    if (card.encoder_id, card.dim) != (encoder.id, encoder.dim):
        raise IncompatibleIndex(
            f"collection {card.name!r} was embedded with {card.encoder_id} ({card.dim} "
            f"dimensions), not with {encoder.id} ({encoder.dim} dimensions); use the encoder it "
            f"was made with (--encoder {card.encoder}), or ingest into a collection of another name"
        )
    return replace(
        card, encoder=encoder_spec, generator=generator_spec, memory=memory or card.memory
    )


def _check_leftovers(folder: CollectionFolder, encoder: Encoder) -> None:
    """Embeddings may be there though the card is lost; vectors of two encoders never mix."""
    encoder_id = encoder_of(folder.embeddings)
    if encoder_id and encoder_id != encoder.id:
        raise IncompatibleIndex(
            f"{folder.path} has no card, but embeddings that were made with {encoder_id}, not with "
            f"{encoder.id}; ingest with that encoder, or delete the folder"
        )


def _check_memory(folder: CollectionFolder, encoder: Encoder, memory: str) -> None:
    if memory == folder.name:
        raise InvalidInput(f"collection {memory!r} cannot be its own memory; leave --memory out")
    encoder_id = folder.sibling(memory).read_card().encoder_id
    if encoder_id != encoder.id:
        raise IncompatibleIndex(
            f"memory {memory!r} was made with encoder {encoder_id}, the pictures would be embedded "
            f"with {encoder.id}; use the memory's encoder, or make a memory with this one"
        )


def _counts(folder: CollectionFolder) -> tuple[int, int, int]:
    """Pictures, human captions, and pictures without any caption."""
    with Ledger.open(folder) as ledger:
        return ledger.pictures(), ledger.captions(), ledger.undescribed()


def _both(first: PushReport, second: PushReport) -> PushReport:
    return PushReport(
        images=first.images + second.images,
        captions=first.captions + second.captions,
        deleted=first.deleted + second.deleted,
        everything=first.everything,
        optimized=first.optimized or second.optimized,
        seconds=first.seconds + second.seconds,
        graph_trouble=second.graph_trouble,
        mended=first.mended or second.mended,
        labelled=first.labelled + second.labelled,
        label_troubles=second.label_troubles,
    )


def embed_lines(done: EmbedReport) -> Iterator[str]:
    """What an embedding did, in lines for a person."""
    yield (
        f"read {done.read:,}: {done.embedded:,} pictures and {done.captions:,} captions embedded, "
        f"{done.unchanged:,} unchanged, {done.reused:,} moved or described anew "
        f"({done.seconds:.1f} s, {done.rate:,.1f}/s)"
    )
    if done.unsaid:
        yield f"removed {done.unsaid:,} captions: no source has them any longer"
    if done.removed:
        yield f"removed {done.removed:,}: no source has them any longer, or they are copies now"
    yield from _skip_lines(done)


def _skip_lines(done: EmbedReport) -> Iterator[str]:
    if done.skipped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.skipped.items()))
        yield f"skipped {sum(done.skipped.values()):,}: {kinds}"
        yield from (f"  {example.uri}: {example.reason}" for example in done.examples)


def _lines(report: IngestReport) -> Iterator[str]:
    yield from _upkeep_lines(report)
    yield from embed_lines(report.embed)
    if report.alignment is not None:
        yield f"map {'fitted' if report.fitted else 'kept'}: {report.alignment.reason}"
    if report.push is not None:
        pushed = report.push
        yield (
            f"wrote {pushed.images:,} pictures and {pushed.captions:,} captions to the index, "
            f"deleted {pushed.deleted:,} points ({pushed.seconds:.1f} s)"
        )
        yield from trouble_lines(pushed)
    yield from _description_lines(report)
    yield (
        f"{report.pictures:,} pictures and {report.captions:,} captions in the collection "
        f"({report.seconds:.1f} s)"
    )


def trouble_lines(pushed: PushReport) -> Iterator[str]:
    """That an index was damaged, the graph of a large one not built, or labels are left out."""
    if pushed.mended:
        yield f"wrote the index anew from the embeddings: {pushed.mended}"
    if pushed.graph_trouble:
        yield (
            f"searched exactly, which is slow where there is much: its graph could not be built "
            f"({pushed.graph_trouble}); the next push tries again"
        )
    for trouble in pushed.label_troubles:
        yield f"gave pictures no labels of one tagging: {trouble}"


def _upkeep_lines(report: IngestReport) -> Iterator[str]:
    if report.migrated is not None:
        yield "brought the collection over from an earlier layout"
        yield from (f"  left out {told}" for told in report.migrated.left_out)
    adopted = report.adopted
    if adopted.adopted:
        yield (
            f"took in {len(adopted.adopted)} parts ({', '.join(adopted.adopted)}): "
            f"{adopted.pictures:,} pictures, {adopted.joined:,} that were there already"
        )
    for path in adopted.damaged:
        yield (
            f"left out {path} of a part, which is damaged; ingest its source again: only what was "
            "in that file is embedded again"
        )
    if adopted.left:
        yield f"left parts that are not finished: {', '.join(adopted.left)}"
    for path in report.damaged:
        yield (
            f"set aside {path}, which is damaged; ingest its source again: only what was in that "
            "file is embedded again"
        )
    if report.compacted is not None:
        before, after = report.compacted.bytes_before, report.compacted.bytes_after
        yield f"let go of what was superseded: {before:,} -> {after:,} bytes"


def _description_lines(report: IngestReport) -> Iterator[str]:
    described = report.described
    if described is not None and described.described:
        yield f"described {described.described:,} pictures ({described.seconds:.1f} s)"
    if described is not None and described.failed:
        yield f"nothing could be written for {described.failed:,} pictures"
        yield from (f"  {example.uri}: {example.reason}" for example in described.examples)
    if described is None and report.undescribed:
        yield (
            f"{report.undescribed:,} pictures have no captions; give captions to describe them "
            "from with --memory NAME (make one with: mrag memory coco)"
        )
