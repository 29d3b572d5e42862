"""The whole way of the data: embed, fit, push, describe, and push what was described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from operator import length_hint
from time import monotonic

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import Counted, Record, WholeFolder
from corpus.shards import encoder_of
from engine.alignment.alignment import Alignment
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex, InvalidInput, SourceError
from engine.progress import OnProgress, silent
from engine.settings import Settings
from engine.types import Encoder
from ingest.describe import Describer, DescribeReport, describe
from ingest.embed import EmbedReport, embed
from ingest.fit import AnyMethod, fit_if_needed
from ingest.push import PushReport, push


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, step by step.

    `alignment` is None while there is nothing to fit on, `fitted` says whether it is new.
    `described` is None if nothing could describe; `undescribed` pictures have no caption yet.
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

    @property
    def text(self) -> str:
        """A few lines for a person."""
        return "\n".join(_lines(self))


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
    optimize: bool = True,
    on_progress: OnProgress = silent,
) -> IngestReport:
    """Bring a source into a collection, which is made if there is none of that name.

    `memory` names the collection whose captions describe these pictures, `alignment` one whose
    map is taken. `captioner_factory` is called once the captions are pushed, and only if there
    are pictures without captions; None: they stay without. `optimize` is that of `push`. What
    has been done before is not done again.

    Raises IncompatibleIndex for a collection of another encoder, SourceError for an empty
    source where there is no collection yet, StoreUnavailable while another process writes.
    """
    started = monotonic()
    folder = CollectionFolder(settings.home, name)
    with writing(folder):
        known = folder.exists()
        if known and memory:
            _check_memory(folder, encoder, memory)
        embedded = embed_only(
            records,
            name=name,
            encoder=encoder,
            encoder_spec=encoder_spec,
            generator_spec=generator_spec,
            settings=settings,
            memory="" if known else memory,
            on_progress=on_progress,
        )
        card = folder.read_card()
        card = replace(card, memory=memory or card.memory)
        fit = partial(fit_if_needed, folder, card, method=method, other=alignment)
        level = partial(push, folder, card, settings, optimize=optimize)
        tell = None
        if captioner_factory is not None:
            tell = partial(describe, folder, encoder, captioner_factory)
        done = IngestReport(embedded, *_counts(folder))
        done = _carry_on(done, folder, card, fit, level, tell, on_progress)
        undescribed = _counts(folder)[2]
        return replace(done, undescribed=undescribed, seconds=monotonic() - started)


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
    on_progress: OnProgress = silent,
) -> EmbedReport:
    """The first step of `ingest` alone: make the collection if need be, and embed."""
    folder = CollectionFolder(settings.home, name)
    records = _begun(records, folder)
    with writing(folder):
        folder.write_card(_card(folder, encoder, encoder_spec, generator_spec, memory))
        return embed(
            records,
            encoder,
            folder,
            limits=settings.limits,
            batch_size=settings.batch_size,
            workers=settings.workers,
            on_progress=on_progress,
        )


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
    )


def embed_lines(done: EmbedReport) -> Iterator[str]:
    """What an embedding did, in lines for a person."""
    yield (
        f"read {done.read:,}: {done.embedded:,} pictures and {done.captions:,} captions embedded, "
        f"{done.unchanged:,} unchanged, {done.reused:,} moved or described anew "
        f"({done.seconds:.1f} s, {done.rate:,.1f}/s)"
    )
    if done.removed:
        yield f"removed {done.removed:,}: their files are gone, or are copies of others now"
    if done.skipped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.skipped.items()))
        yield f"skipped {sum(done.skipped.values()):,}: {kinds}"
        yield from (f"  {example.uri}: {example.reason}" for example in done.examples)


def _lines(report: IngestReport) -> Iterator[str]:
    yield from embed_lines(report.embed)
    if report.alignment is not None:
        yield f"map {'fitted' if report.fitted else 'kept'}: {report.alignment.reason}"
    if report.push is not None:
        pushed = report.push
        yield (
            f"wrote {pushed.images:,} pictures and {pushed.captions:,} captions to the index, "
            f"deleted {pushed.deleted:,} points ({pushed.seconds:.1f} s)"
        )
    yield from _description_lines(report)
    yield (
        f"{report.pictures:,} pictures and {report.captions:,} captions in the collection "
        f"({report.seconds:.1f} s)"
    )


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
