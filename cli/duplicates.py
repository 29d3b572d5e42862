"""The command duplicates: what a collection holds more than once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.doors import answering, collection_named
from cli.options import CollectionOption, JsonOption, LocalOption, new_file
from cli.output import console, emit, plain, say, short_path
from engine.errors import InvalidInput
from engine.files import write_whole
from engine.footprint import readable
from engine.progress import Progress
from mrag_client.answers import Answers
from mrag_client.models import (
    MOST_GROUPS,
    DuplicateGroup,
    DuplicateKind,
    DuplicateOptions,
    DuplicatePicture,
    DuplicatesAnswer,
)

_FORMS = (".csv", ".jsonl")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(duplicates)


def duplicates(
    collection: CollectionOption = "",
    exact: Annotated[bool, typer.Option("--exact", help="Only files of the same bytes.")] = False,
    near: Annotated[
        bool,
        typer.Option(
            "--near", help="Only pictures that were saved anew, scaled, turned or cropped a little."
        ),
    ] = False,
    k: Annotated[
        int, typer.Option("-k", min=1, max=MOST_GROUPS, help="Groups shown, the biggest first.")
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=new_file,
            help="Write all groups to a file, .csv or .jsonl, a line for each file or group.",
            show_default=False,
        ),
    ] = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the pictures that a collection holds more than once; nothing is deleted."""
    if exact and near:
        raise InvalidInput("--exact and --near each leave out the other; leave both out for all")
    if out is not None and out.suffix.lower() not in _FORMS:
        raise InvalidInput(f"{out} has no form that is known; end its name in .csv or .jsonl")
    kind: DuplicateKind = "exact" if exact else "near" if near else "all"
    everything = as_json or out is not None
    options = DuplicateOptions(kind=kind, k=MOST_GROUPS if everything else k)
    with answering(local=local) as answers:
        first = _compared(answers, options, collection_named(collection))
        if out is not None:
            _write(out, _all(first, answers, options, collection_named(collection)))
        elif as_json:
            for group in _all(first, answers, options, collection_named(collection)):
                emit(group.model_dump(mode="json"))
        else:
            for number, group in enumerate(first.groups, 1):
                _show(number, group)
    _sum_up(first, shown=first.total if everything else len(first.groups), out=out)


def _compared(answers: Answers, options: DuplicateOptions, collection: str) -> DuplicatesAnswer:
    """The first groups, once all pictures were looked at and compared."""
    from cli.progress import progress_bars

    found = answers.duplicates(options, collection=collection)
    if not (most := found.waiting):
        return found
    with progress_bars() as show:
        while found.waiting:
            most = max(most, found.waiting)
            show(Progress("look at pictures and compare them", most - found.waiting, most))
            found = answers.duplicates(options, collection=collection)
        show(Progress("look at pictures and compare them", most, most))
    return found


def _all(
    first: DuplicatesAnswer, answers: Answers, options: DuplicateOptions, collection: str
) -> Iterator[DuplicateGroup]:
    """The groups of all pages, whose first one is there."""
    page, offset = first, 0
    while page.groups:
        yield from page.groups
        offset += options.k
        if offset >= page.total:
            return
        further = options.model_copy(update={"offset": offset})
        page = answers.duplicates(further, collection=collection)


def _write(out: Path, groups: Iterator[DuplicateGroup]) -> None:
    if out.suffix.lower() == ".csv":
        from service.exports import duplicates_as_csv

        write_whole(out, duplicates_as_csv(groups))
    else:
        lines = (json.dumps(one.model_dump(mode="json"), ensure_ascii=False) for one in groups)
        write_whole(out, "".join(f"{line}\n" for line in lines))


def _show(number: int, group: DuplicateGroup) -> None:
    out = console()
    kind = "the same bytes" if len(group.pictures) == 1 else "the same sight"
    told = f"{number}. {group.files} files of {kind}, {readable(group.spare)} to spare"
    out.print(plain(told, "bold"))
    for picture in group.pictures:
        facts = _facts(picture)
        for at, file in enumerate(picture.files):
            sign = "keep" if picture.keep and not at else ""
            gone = "" if file.there else "  (the file is gone)"
            out.print(f"  {sign:4} ", plain(short_path(file.path)), plain(gone, "yellow"), sep="")
        out.print(plain(f"       {facts}", "dim"))


def _facts(picture: DuplicatePicture) -> str:
    taken = picture.taken_at
    facts = [
        f"{picture.width} x {picture.height}",
        readable(picture.files[0].bytes) if picture.files else "",
        f"taken {taken:%Y-%m-%d %H:%M}" if taken else "",
        ", ".join(picture.places),
        picture.caption,
    ]
    return " · ".join(fact for fact in facts if fact)


def _sum_up(found: DuplicatesAnswer, *, shown: int, out: Path | None) -> None:
    """What was found in all, on stderr."""
    if not found.total:
        say("no duplicates were found")
    else:
        groups = "group" if found.total == 1 else "groups"
        told = f"{found.total:,} {groups} of {found.files:,} files"
        told += f", {readable(found.spare)} to spare"
        if out is not None:
            told += f"; written to {out}"
        elif shown < found.total:
            told += f"; {shown:,} are shown: -k shows more, --out FILE.csv writes all"
        say(f"{told}. Nothing was deleted")
    if found.missing:
        say(
            f"{found.missing:,} pictures could not be compared by sight, as their files were not "
            "there; ask again when they are"
        )
