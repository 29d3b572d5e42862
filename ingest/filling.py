"""Fills a collection with an engine's models: which ones, and all the steps of an ingest."""

from __future__ import annotations

from collections.abc import Iterable

from corpus.records import Leaving, Record
from engine.alignment.closed_form import AnyMethod
from engine.app import Engine
from engine.progress import OnProgress, silent
from ingest.pipeline import IngestReport, ingest
from ingest.sources import Source

Specs = tuple[str, str]
"""What loads an encoder and a generator; see `engine.settings.Settings`."""


def specs(engine: Engine, name: str, memory: str = "") -> Specs:
    """Encoder and generator to fill a collection with.

    What the collection (or else its memory) was made with, unless other models are named.
    Raises CollectionMissing where there is no such memory.
    """
    if memory:
        engine.folder(memory).read_card()
    if "profile" in engine.settings.model_fields_set:
        return engine.settings.models()
    return specs_of_card(engine, name, memory)


def specs_of_card(engine: Engine, name: str, memory: str = "") -> Specs:
    """As `specs`, but a profile that is set counts for collections only that are new."""
    settings = engine.settings
    for known in (name, memory):
        if known and engine.folder(known).exists():
            card = engine.folder(known).read_card()
            return settings.encoder or card.encoder, settings.generator or card.generator
    return settings.models()


def fill(
    engine: Engine,
    records: Iterable[Record],
    name: str,
    *,
    models: Specs,
    memory: str = "",
    alignment: str = "",
    method: AnyMethod = "auto",
    source: Source | None = None,
    leaving: Leaving | None = None,
    on_progress: OnProgress = silent,
) -> IngestReport:
    """Bring records into a collection; see `ingest.pipeline.ingest`."""
    encoder_spec, generator_spec = models
    if alignment:
        engine.folder(alignment).read_card()  # said before hours of embedding, not after
    return ingest(
        records,
        name=name,
        encoder=engine.models.filling_encoder(encoder_spec),
        encoder_spec=encoder_spec,
        generator_spec=generator_spec,
        settings=engine.settings,
        memory=memory,
        alignment=alignment,
        method=method,
        captioner_factory=lambda: engine.open(name).filling_captioner(),
        source=source,
        leaving=leaving,
        on_progress=on_progress,
    )
