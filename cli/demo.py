"""The command that shows: demo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import typer
from rich.text import Text

from cli.answer import show_caption, show_comparison, show_search
from cli.options import opened_engine, settings_for
from cli.output import console, say_lines
from cli.progress import progress_bars
from corpus.records import ImageRecord
from engine.app import Engine
from engine.collection import collection_names
from engine.search.gallery import Query
from engine.settings import SAMPLE_PACK
from engine.types import SPACES, Encoder, Vector, Vectors
from ingest.pipeline import ingest
from ingest.readers import open_captions, open_source
from service.conversion import comparison_answer, description, search_answer

_COLLECTIONS = ("plain", "postcards")
_QUERIES = ("two cats on the beach", "a guitar at night")
_FILLED = frozenset(("train", "val"))
_HELD_OUT = "test"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(demo)


def demo() -> None:
    """Index the sample collections, describe pictures they do not hold, and search them."""
    with opened_engine(settings_for(profile="sample")) as engine:
        _fill_samples(engine)
        out = console()
        for name, count in zip(_COLLECTIONS, (2, 1), strict=True):
            opened = engine.open(name)
            captioner = opened.captioner()
            for path, written in islice(_held_out(name), count):
                picture = engine.open_picture(path)
                (result,) = captioner.describe([picture.image])
                show_caption(description(str(path), result))
                out.print(Text(f"  people wrote: {written[0]}", style="dim"))
                show_comparison(comparison_answer(str(path), opened.compare(picture)))
        for words in _QUERIES:
            out.print(Text(f"search: {words}", style="bold"))
            results = engine.open(_COLLECTIONS[0]).gallery.search_spaces(Query(words), SPACES, k=5)
            show_search([search_answer(result) for result in results])
        _say_what_next(engine)


def fill_waiting_samples(home: Path) -> None:
    """Fill a home in which there is no collection yet with the sample collections."""
    if not collection_names(home):
        with opened_engine(settings_for(profile="sample")) as engine:
            _fill_samples(engine)


class _EachOnce:
    """An encoder that embeds a text once: the sample collections share their loose captions."""

    def __init__(self, encoder: Encoder) -> None:
        self.id, self.dim = encoder.id, encoder.dim
        self.encode_images = encoder.encode_images
        self._encode_texts = encoder.encode_texts
        self._known: dict[str, Vector] = {}

    def encode_texts(self, texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._encode_texts(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def _fill_samples(engine: Engine) -> None:
    """Bring the sample collections level with the pack: its pictures but the held-out ones."""
    encoder_spec, generator_spec = engine.settings.models()
    encoder = _EachOnce(engine.models.encoder(encoder_spec))
    for name in _COLLECTIONS:
        pictures = open_source(SAMPLE_PACK / name / "captions.jsonl", split=_FILLED)
        captions = open_captions(SAMPLE_PACK / "memory.txt")
        with progress_bars() as on_progress:
            report = ingest(
                # In one go: map and index are made once, not for the pictures and again.
                chain(pictures, captions),
                name=name,
                encoder=encoder,
                encoder_spec=encoder_spec,
                generator_spec=generator_spec,
                settings=engine.settings,
                on_progress=on_progress,
            )
        if report.embed.embedded or report.embed.captions:
            say_lines(f"{name}: {report.text}")


def _held_out(name: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The held-out pictures of a sample collection, and what people wrote about them."""
    table = SAMPLE_PACK / name / "captions.jsonl"
    for record in open_source(table, split=frozenset((_HELD_OUT,))):
        if isinstance(record, ImageRecord):
            yield record.path, record.captions


def _say_what_next(engine: Engine) -> None:
    say_lines(
        f"""
The collections are in {engine.settings.home / "collections"}. Next:
  mrag search "three dogs on the beach" --collection postcards
  mrag compare {SAMPLE_PACK / "postcards" / "images"}/*.webp --collection postcards
  mrag memory coco                          # captions for your own pictures (1.1 GB)
  mrag ingest ~/Pictures --memory coco      # describe and index them
  mrag doctor                               # what is here, what is missing
(`mrag` is .venv/bin/mrag until you activate .venv)"""
    )
