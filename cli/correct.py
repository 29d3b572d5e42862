"""The command correct: say what a picture shows, and what a collection has learned from that."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.doors import answering, asked, collection_named
from cli.options import CollectionOption, JsonOption, LocalOption
from cli.output import console, emit, plain, say
from engine.errors import InvalidInput
from mrag_client.models import (
    CorrectionAnswer,
    CorrectionOptions,
    CorrectionsAnswer,
    LearnedAnswer,
    LearnedStep,
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(correct)


def correct(
    picture: Annotated[
        str,
        typer.Argument(
            help="A picture: its id as a search shows it, the path of its file, or its name; "
            "without one, what the collection has learned.",
            show_default=False,
        ),
    ] = "",
    text: Annotated[
        str, typer.Argument(help="What it shows, in a sentence.", show_default=False)
    ] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="What was generated of it is right.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take its last correction back.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Tell all that was said.")] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Describe those again whose descriptions would differ."),
    ] = False,
    collection: CollectionOption = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a picture shows: the collection learns from it, for its other pictures too.

    The correction is shown first from then on, found by search at once, and a pair that the map
    learns from. Nothing that was said is lost: --history tells it, --undo takes the last one back.
    """
    _check(picture, text, accept=accept, undo=undo, history=history, again=again)
    name = collection_named(collection)
    with answering(local=local) as answers:
        if not picture:
            told = (
                answers.describe_differing(collection=name)
                if again
                else answers.learned(look=True, collection=name)
            )
            emit(told.model_dump(mode="json")) if as_json else _show_learned(told, again)
            return
        if undo:
            found = answers.undo_correction(picture, collection=name)
        elif history:
            found = answers.corrections(picture, collection=name)
        else:
            options = asked(CorrectionOptions, text=text, accept=accept)
            found = answers.correct(picture, options, collection=name)
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        _show(found, history=history)


def _check(picture: str, text: str, **ways: bool) -> None:
    asked_for = [f"--{name}" for name, wanted in ways.items() if wanted]
    if not picture:
        if text or set(asked_for) - {"--again"}:
            raise InvalidInput("no picture is named; give its id, path or name first")
        return
    if "--again" in asked_for:
        raise InvalidInput("--again concerns the whole collection; leave the picture out")
    if len(asked_for) > 1:
        raise InvalidInput(f"{' and '.join(asked_for)} ask for different things; give one")
    if text and asked_for and asked_for != ["--accept"]:
        raise InvalidInput(f"{asked_for[0]} takes no text; leave it out")
    if not text and not asked_for:
        raise InvalidInput(
            "nothing is said of the picture; give a text, or --accept, --undo or --history"
        )


def _show(found: CorrectionsAnswer, *, history: bool) -> None:
    if history:
        for one in found.corrections:
            console().print(plain(_line(one)))
        if not found.corrections:
            say("nobody has corrected this picture")
        return
    console().print(plain(found.caption or "nothing is said of it now"))
    if any(one.waiting for one in found.corrections):
        say(
            "it is safe, and found once what else is written to the collection is done; the next "
            "ingest or correction takes it in"
        )


def _line(one: CorrectionAnswer) -> str:
    state = "undone" if one.undone else "stands" if one.stands else "replaced"
    if one.kind == "undone":
        state = "took it back"
    text = one.text or one.replaced
    when = one.when.strftime("%Y-%m-%d %H:%M:%S")
    return f"{when}  {one.kind:8}  {state:12}  {one.who}: {text}"


def _show_learned(told: LearnedAnswer, again: bool) -> None:
    if told.now is not None:
        _show_gain(told.now)
    elif not told.waiting and not told.state:
        say("nothing was corrected in this collection yet")
    if told.waiting:
        waits = "correction is" if told.waiting == 1 else "corrections are"
        say(f"{told.waiting:,} {waits} safe on disk, to be taken in")
    if told.state:
        say(f"now: {told.state}")
    if told.trouble:
        say(f"trouble: {told.trouble}")
    if again and told.state:
        say("those whose descriptions would differ are described again once that is done")
    elif told.now is not None and told.checked is not None:
        _show_differing(told, told.checked)


def _show_gain(now: LearnedStep) -> None:
    from service.correcting import chance

    say(f"{now.corrections:,} pictures are corrected; the map is {now.method}")
    if now.score is None or now.without is None:
        say("too few pairs to measure what the map has gained")
        return
    say(
        f"held-out score {now.without:.3f} before learning, {now.score:.3f} now, on the same "
        f"{now.held_out:,} pairs (chance alone moves each by up to {chance(now.held_out):.3f})"
    )


def _show_differing(told: LearnedAnswer, checked: int) -> None:
    remedy = "; write them with: mrag correct --again" if told.differing else ""
    say(
        f"of the {checked:,} generated descriptions most like the corrected ones "
        f"{len(told.differing):,} would differ{remedy}"
    )
    for one in told.differing:
        for line in (one.uri, f"  now:  {one.now}", f"  then: {one.then}"):
            console().print(plain(line))
