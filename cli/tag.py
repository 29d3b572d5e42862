"""The command tag: give pictures labels of a list, see which they would get, take them back."""

from __future__ import annotations

import csv
import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from cli.doors import answering, asked, collection_named
from cli.options import (
    CollectionOption,
    DeviceOption,
    EncoderOption,
    JsonOption,
    LocalOption,
    new_file,
)
from cli.output import console, emit, plain, say, short_path
from engine.disk import refused
from engine.errors import InvalidInput, SourceError
from engine.files import written_whole
from engine.progress import OnProgress, Progress
from engine.search.language import Filter
from mrag_client.answers import Answers
from mrag_client.files import open_regular
from mrag_client.models import (
    MOST_LABELLED,
    LabelledOptions,
    LabelledPicture,
    TaggingAnswer,
    TaggingsAnswer,
    TagOptions,
    TagsAnswer,
)
from service.takeaway.values import inert

_LISTED = 40
_LARGEST_FILE = 16 * 2**20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LEAST = TagOptions().least


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(tag)


def tag(
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="File of labels: one a line; # begins a comment; other words for one stand "
            "behind it: dog = dog, puppy.",
            show_default=False,
        ),
    ] = None,
    collection: CollectionOption = "",
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Pictures of the collection that have a label: a folder for each label, or a "
            "file of lines: picture, tab, label.",
            show_default=False,
        ),
    ] = None,
    single: Annotated[
        bool, typer.Option("--single", help="Of each picture the likeliest label alone, or none.")
    ] = False,
    least: Annotated[
        float,
        typer.Option(min=0.001, max=0.999, help="The chance from which on a picture gets a label."),
    ] = _LEAST,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the tagging; by default that of the file. One of the same name is "
            "replaced.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what pictures would get.")
    ] = False,
    undo: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Take the tagging of this name back.", show_default=False
        ),
    ] = "",
    k: Annotated[
        int, typer.Option("-k", min=0, max=MOST_LABELLED, help="Pictures shown with their labels.")
    ] = 12,
    out: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            parser=new_file,
            help="Write all pictures that get labels, with their chances, to a table; of a "
            "tagging that stands with --name alone.",
            show_default=False,
        ),
    ] = None,
    encoder: EncoderOption = "",
    device: DeviceOption = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give pictures labels of a list: filters (label:dog) and counts of what is there.

    Without a list or examples, list the taggings. What captions that name a label have in common
    says which pictures have it, and examples do; none where nothing fits. Pictures that come later
    get labels, too. Nothing is embedded again.
    """
    _check(labels, examples, undo, dry_run=dry_run)
    if out and not (labels or examples or name):
        raise InvalidInput(
            "--csv writes what one tagging gives: name it with --name, or give a list with --labels"
        )
    named = collection_named(collection)
    with answering(local=local, encoder=encoder, device=device) as answers:
        if undo:
            _show_taggings(answers.untag(undo, collection=named), as_json)
            return
        if labels is None and examples is None:
            if out:
                asked_for = asked(LabelledOptions, name=name, k=MOST_LABELLED)
                _write_every(out, answers, asked_for, named)
                return
            _show_taggings(answers.taggings(collection=named), as_json)
            return
        files: dict[str, Path] = {}
        options = asked(
            TagOptions,
            name=name or _name_of(labels or examples),
            labels=_read(labels) if labels else "",
            examples="\n".join(_examples(examples, files)) if examples else "",
            single=single,
            least=least,
            dry_run=dry_run,
            k=k,
        )
        from cli.progress import progress_bars

        with progress_bars():
            told = answers.tag(options, collection=named)
        emit(told.model_dump(mode="json")) if as_json else _show(told)
        for one in told.skipped:
            key, colon, why = one.partition(": ")
            say(f"mrag: an example was left out: {files.get(key, key)}{colon}{why}")
        for trouble in (*told.troubles, told.pending):
            if trouble:
                say(f"mrag: {trouble}")
        if out:
            _write_every(out, answers, _asked_for(options), named, told.labelled)


def _check(labels: Path | None, examples: Path | None, undo: str, *, dry_run: bool) -> None:
    if undo and (labels or examples or dry_run):
        raise InvalidInput("--undo takes a tagging back as it is; leave the other options out")
    if dry_run and not (labels or examples):
        raise InvalidInput("there is nothing to try; give a list with --labels")


def _name_of(file: Path | None) -> str:
    """A name for the tagging, after its file."""
    stem = "" if file is None else file.stem.lower()
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:63] or "labels"


def _read(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{file}: {why}; give a text file with a label a line") from error
    if len(data) > _LARGEST_FILE:
        raise SourceError(f"{file}: it is larger than {_LARGEST_FILE // 2**20} MB; split it")
    try:
        return data.decode("utf-16" if data[:2] in _UTF_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{file} is no text in UTF-8; save it as such") from error


# Examples.


def _examples(place: Path, files: dict[str, Path]) -> Iterator[str]:
    """The lines of examples; pictures that lie here are named by what is in them.

    `files` is told which file goes by which id.
    """

    def named(path: Path) -> str:
        key = _id_of(path)
        files[key] = path
        return key

    if place.is_dir():
        for folder in sorted(one for one in place.iterdir() if one.is_dir()):
            inside = sorted(path for path in folder.rglob("*") if path.is_file())
            yield from (f"{named(path)}\t{folder.name}" for path in inside if path.name[0] != ".")
        return
    for line in _read(place).splitlines():
        picture, tab, label = line.partition("\t")
        beside = place.parent / picture.strip()
        there = next((one for one in (Path(picture.strip()), beside) if _is_file(one)), None)
        yield f"{named(there)}{tab}{label}" if picture.strip() and there else line


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # what can be no path: too long, or with a null byte
        return False


def _id_of(picture: Path) -> str:
    from engine.store.ids import picture_id  # loads what most of this command does without

    try:
        with picture.open("rb") as file:
            return picture_id(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise refused(picture, error) from error


# What is shown.


def _show(told: TagsAnswer) -> None:
    out = console()
    would = "would get" if told.dry_run else "have"
    for one in told.shown:
        out.print(plain(f"{short_path(one.uri)}: {_labels(one)}"))
    given = [one for one in told.labels if one.pictures]
    for label in given[:_LISTED]:
        out.print(f"{label.pictures:>9,} ", plain(label.label))
    if len(given) > _LISTED:
        say(f"and {len(given) - _LISTED:,} more labels")
    say(
        f"{told.labelled:,} of {told.pictures:,} pictures {would} labels; "
        f"{len(told.labels) - len(given):,} of {len(told.labels):,} labels fit none"
    )
    if told.dry_run:
        say("nothing was written; leave --dry-run out to give them")
        return
    undo = f"take them back with: mrag tag -c {told.collection} --undo {told.name}"
    if given:
        found = shlex.quote(str(Filter("label", given[0].label)))
        say(f"find them with: mrag search {found} -c {told.collection}; {undo}")
    else:
        say(f"pictures that come later may get some; a lower --least gives more; {undo}")


def _labels(one: LabelledPicture) -> str:
    return ", ".join(f"{label.label} {label.chance:.2f}" for label in one.labels)


def _show_taggings(told: TaggingsAnswer, as_json: bool) -> None:
    if as_json:
        emit(told.model_dump(mode="json"))
        return
    for one in told.taggings:
        console().print(plain(_line(one)))
    if told.pending:
        say(f"mrag: {told.pending}")
    if not told.taggings:
        say(f"nothing was tagged in {told.collection}; do it with: mrag tag --labels FILE")


def _line(one: TaggingAnswer) -> str:
    if one.trouble:
        return f"{one.name}: {one.trouble}"
    when = one.when.strftime("%Y-%m-%d %H:%M") if one.when else ""
    count = len(one.labels.splitlines())
    examples = f", {one.examples:,} examples" if one.examples else ""
    kind = "one a picture" if one.single else "as many as fit"
    return (
        f"{one.name}: {count:,} labels, {kind}, from {one.least:g} on{examples}; {when} {one.who}"
    )


def _asked_for(options: TagOptions) -> LabelledOptions:
    """What is told of all pictures: by the tagging that stands now, or that was only tried."""
    tried = {"labels", "examples", "single", "least"} if options.dry_run else set()
    return LabelledOptions(**options.model_dump(include={"name", *tried}), k=MOST_LABELLED)


def _write_every(
    out: Path, answers: Answers, options: LabelledOptions, named: str, total: int | None = None
) -> None:
    """Write all pictures that get labels to a table, page by page."""
    from cli.progress import progress_bars

    with progress_bars() as on_progress:
        _write_table(out, _every(answers, options, named, on_progress, total))
    say(f"wrote them to {out}")


def _every(
    answers: Answers,
    options: LabelledOptions,
    collection: str,
    on_progress: OnProgress,
    total: int | None = None,
) -> Iterator[LabelledPicture]:
    """All pictures that get labels, page by page."""
    written = 0
    while True:
        page = answers.labelled(options, collection=collection)
        yield from page.pictures
        written += len(page.pictures)
        on_progress(Progress("write the table", written, total))
        if not page.next:
            return
        options = options.model_copy(update={"after": page.next})


def _write_table(file: Path, pictures: Iterable[LabelledPicture]) -> None:
    """A row for each picture and label, which spreadsheets open as text, never as formulas."""
    try:
        with written_whole(file) as opened:
            page = TextIOWrapper(opened, "utf-8-sig", newline="")
            rows = csv.writer(page)
            rows.writerow(("id", "picture", "label", "chance"))
            rows.writerows(
                (one.id, inert(one.uri), inert(label.label), f"{label.chance:.4f}")
                for one in pictures
                for label in one.labels
            )
            page.detach()
    except OSError as error:
        raise refused(file, error) from error
