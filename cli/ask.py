"""The command ask: questions about a collection, or about pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cli.doors import answering, as_here, asked, collection_named
from cli.options import (
    CollectionOption,
    DeviceOption,
    EncoderOption,
    ExplainOption,
    GeneratorOption,
    JsonOption,
    LocalOption,
    RerankerOption,
    RerankOption,
    RerankSecondsOption,
    RerankTopOption,
    named_path,
)
from cli.output import console, emit, milliseconds, plain, say, short_path
from cli.tracing import show_reranked, show_trace
from cli.waiting import each_waited_for, told_meanwhile
from engine.errors import InvalidInput, SourceError
from mrag_client.answers import Answers, GivenPicture, NamedPicture, StoredPicture
from mrag_client.errors import ServerRefused
from mrag_client.files import open_regular
from mrag_client.models import (
    MOST_HITS,
    SEARCH_LANGUAGE,
    AskAnswer,
    AskedPicture,
    AskOptions,
)

SOME_FAILED = 1
_SHOWN = 10
_LARGEST_FILE = 16 * 2**20

_DEFAULT = AskOptions()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(ask)


def ask(
    question: Annotated[
        str, typer.Argument(help="A question, as to a person.", show_default=False)
    ] = "",
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            parser=named_path,
            help="What it is about: files, or ids of pictures of the collection. Without any it "
            "is about the whole collection.",
            show_default=False,
        ),
    ] = None,
    collection: CollectionOption = "",
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Search for this instead of what is read from the question; given twice, the two "
            f"are compared. {SEARCH_LANGUAGE}",
            show_default=False,
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            parser=named_path,
            help="Ask every line of a text file, one after the other.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, max=100, help="Captions that a question is answered from.")
    ] = _DEFAULT.k,
    shown: Annotated[
        int, typer.Option(min=1, max=MOST_HITS, help="Pictures of a list that are told.")
    ] = _DEFAULT.shown,
    rerank: RerankOption = _DEFAULT.rerank,
    rerank_top: RerankTopOption = _DEFAULT.rerank_top,
    rerank_seconds: RerankSecondsOption = _DEFAULT.rerank_seconds,
    encoder: EncoderOption = "",
    generator: GeneratorOption = "",
    reranker: RerankerOption = "",
    device: DeviceOption = "",
    local: LocalOption = False,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer a question about a collection, or about pictures, from captions that it cites.

    What it searched is shown: change it with --search. Counts and lists are the index's, nothing
    is guessed; where the captions do not say it, that is the answer.
    """
    lines = _lines(questions, question) if questions else [question]
    given = [_given(path) for path in images or ()]
    models = {"encoder": encoder, "generator": generator, "reranker": reranker, "device": device}

    def options_of(line: str) -> AskOptions:
        return asked(
            AskOptions,
            question=line,
            searches=tuple(search or ()),
            k=k,
            shown=shown,
            explain=explain,
            rerank=rerank,
            rerank_top=rerank_top,
            rerank_seconds=rerank_seconds,
        )

    with answering(local=local, **models) as answers:
        name = collection_named(collection)
        if not questions:
            one = _one(answers, options_of(question), given, name)
            (answer,) = each_waited_for("ask", one)
            _tell(answer, as_json=as_json)
            return
        failed = 0
        for line in lines:
            try:
                one = _one(answers, options_of(line), given, name)
                (answer,) = each_waited_for("ask", one)
            except (InvalidInput, ServerRefused) as error:
                here = as_here(error) if isinstance(error, ServerRefused) else error
                if not isinstance(here, InvalidInput):
                    raise
                failed += 1  # it concerns this question; the others go on
                say(f"mrag: {line[:60]}: {error}")
                continue
            _tell(answer, as_json=as_json)
    say(f"{len(lines) - failed:,} questions answered" + (f", {failed:,} not" if failed else ""))
    if failed:
        raise typer.Exit(SOME_FAILED)


def _one(
    answers: Answers, options: AskOptions, images: Sequence[GivenPicture], collection: str
) -> Iterator[AskAnswer]:
    for event in answers.ask_events(options, images=images, collection=collection):
        if event.event == "text":
            told_meanwhile(event.text)
        if event.answer is not None:
            yield event.answer


def _lines(file: Path, question: str) -> list[str]:
    """The questions of a file, without blank lines; raises SourceError for what is no such file."""
    if question:
        raise InvalidInput(
            "a question and --questions are given; leave one out. Pictures come after a question: "
            'give "" in its place, as in: mrag ask "" photo.jpg --questions FILE'
        )
    try:
        with open_regular(file) as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{file}: {why}; give a text file with a question a line") from error
    if len(data) > _LARGEST_FILE:
        raise SourceError(f"{file}: it is larger than {_LARGEST_FILE // 2**20} MB; split it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{file}: it is no text in UTF-8; save it as that") from error
    if not (lines := [line for line in text.splitlines() if line.strip()]):
        raise SourceError(f"{file}: there is no question in it; write one a line")
    return lines


def _given(path: Path) -> GivenPicture:
    """A picture of the collection where it is called by an id, else a file."""
    try:
        key = UUID(str(path))
    except ValueError:
        return NamedPicture(str(path), path)
    return NamedPicture(str(path), path) if path.exists() else StoredPicture(str(key))


def _tell(answer: AskAnswer, *, as_json: bool) -> None:
    for hint in answer.hints:
        say(f"mrag: {hint}")
    if as_json:
        emit(answer.model_dump(mode="json"))
    else:
        show_answer(answer)


def show_answer(answer: AskAnswer) -> None:
    """Show an answer: in words, the pictures that it cites, and what was searched for it."""
    out = console()
    out.print(plain(answer.question, "dim"))
    out.print(plain(answer.answer, "bold" if answer.said else "bold dim"))
    others = [one for one in answer.pictures if not one.cited]
    for picture in answer.cited[:_SHOWN]:
        _show_picture(picture, "")
    if len(answer.cited) > _SHOWN:
        out.print(f"  and {len(answer.cited) - _SHOWN:,} more; --json tells them", style="dim")
    if others:
        out.print("  looked at, too:", style="dim")
    for picture in others[:3]:
        _show_picture(picture, "dim")
    if not _of_files(answer):
        for search in answer.searches:
            out.print("  searched:", plain(search or "all pictures"), style="dim")
        for rule in answer.rules:
            gave = f" -> {rule.gave}" if rule.gave else ""
            out.print(plain(f"    “{rule.said}”: {rule.told}{gave}", "dim"))
    show_reranked(answer.reranked)
    show_trace(answer.trace)
    out.print(milliseconds(answer.timings_ms))
    out.print()


def _of_files(answer: AskAnswer) -> bool:
    return any(one.given is not None for one in answer.pictures)


def _show_picture(picture: AskedPicture, style: str) -> None:
    caption = next(iter(picture.captions), "")
    name = short_path(picture.uri) or "a caption of no picture"
    console().print(f"  [{picture.number}]", plain(f"{name}: {caption}", style), markup=False)
