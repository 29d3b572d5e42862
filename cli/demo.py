"""The command that shows: demo; and the sample collections, as every first start fills them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from shutil import which

import typer
from rich.text import Text

from cli.answer import show_caption, show_comparison, show_search
from cli.options import opened_engine, settings_for
from cli.output import console, say, say_lines
from cli.progress import progress_bars
from corpus.records import ImageRecord
from engine.app import Engine
from engine.errors import IncompatibleIndex
from engine.settings import SAMPLE_PACK
from engine.types import SPACES
from ingest.readers import open_source
from ingest.sample_filling import HELD_OUT, SampleFiller
from ingest.samples import SAMPLES, forget, waiting, want
from mrag_client.models import SearchOptions
from service.answering import LocalAnswers
from service.conversion import comparison_answer, description

_QUERIES = ("two cats on the beach", "a guitar at night")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo() -> None:
    """Index the sample collections, describe pictures they do not hold, and search them."""
    with opened_engine(settings_for(profile="sample")) as engine:
        _fill(engine, SAMPLES)
        out = console()
        for name, count in zip(SAMPLES, (2, 1), strict=True):
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
            asked = SearchOptions(text=words, spaces=SPACES, k=5)
            show_search(LocalAnswers(engine).search(asked, collection=SAMPLES[0]))
        _say_what_next(engine)


def fill_waiting_samples(home: Path) -> None:
    """Fill the samples that a start owes a home: both of a new one, else those left unfinished."""
    names = waiting(home)
    if not names:
        return
    with opened_engine(settings_for(profile="sample")) as engine:
        _fill(engine, names, passing_over=True)


def _fill(engine: Engine, names: Sequence[str], *, passing_over: bool = False) -> None:
    """Bring samples level with the pack, `passing_over` collections of their owner's encoder."""
    home = engine.settings.home
    want(home, names)
    filler = SampleFiller(engine)
    for name in names:
        try:
            with progress_bars() as on_progress:
                report = filler.fill(name, on_progress)
        except IncompatibleIndex as error:
            if not passing_over:
                raise
            forget(home, name)
            say_lines(f"the sample {name} is left out: {error}")
            continue
        if report.embed.embedded or report.embed.captions:
            say_lines(f"{name}: {report.text}")


def _held_out(name: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The held-out pictures of a sample collection, and what people wrote about them."""
    table = SAMPLE_PACK / name / "captions.jsonl"
    for record in open_source(table, split=frozenset((HELD_OUT,))):
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
  mrag doctor                               # what is here, what is missing"""
    )
    if which("mrag") is None:
        here = Path(sys.executable).with_name("mrag")
        say(f"(`mrag` is {here} until you activate its environment)")
