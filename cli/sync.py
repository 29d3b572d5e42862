"""The command that brings collections level with their sources: sync."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.doors import asked, collection_named, served
from cli.ingest import followed
from cli.options import JsonOption, LocalOption, opened_engine, settings_for
from cli.output import emit, say, say_lines
from engine.collection import CollectionFolder, collection_names
from engine.errors import InvalidInput, MragError, NothingToSync, TooMuchLeaves
from mrag_client.models import SyncOptions
from mrag_client.presence import home_of_user

if TYPE_CHECKING:  # what looks at sources is loaded where they are
    from mrag_client.client import Client

SOME_FAILED = 1
LOOK_AGAIN_S = 60.0
"""How often `--watch` tries again what did not work, and looks for sources that are new to it."""

Allowed = Literal["little", "rest", "all"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(sync)


def sync(
    which: Annotated[
        str,
        typer.Argument(
            metavar="all",
            help="all: every collection that knows a source.",
            show_default=False,
        ),
    ] = "",
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection",
            "-c",
            help="The collection (repeatable); by default MRAG_COLLECTION, or the only one.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before much leaves a collection.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Stay, and sync whenever something changes."),
    ] = False,
    poll: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="With --watch: look for changes every so many seconds; by default only where the "
            "system does not tell of them, as on network disks.",
            show_default=False,
        ),
    ] = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a collection level with its sources: what is new, changed, moved or gone in them."""
    if which not in {"all", ""}:
        raise InvalidInput(f"{which!r} is not all; a collection is named with -c {which}")
    if which and collection:
        raise InvalidInput("all collections are meant, or those that are named; leave one out")
    if poll is not None and not watch:
        raise InvalidInput("--poll is for --watch; leave it out")
    if dry_run and watch:
        raise InvalidInput("--watch syncs, and --dry-run only looks; leave one out")
    how = _How(local, as_json, dry_run)
    names = _names(bool(which), collection or [])
    if watch:
        _Watching(how, names, poll, "all" if yes else "rest").stay()
    failed, errors = False, list[MragError]()
    for name in names:
        try:
            failed = _shown(name, _asking(how, name, yes=yes), how) or failed
        except MragError as error:
            if len(names) == 1:
                raise
            errors.append(error)
    for more in errors[1:]:
        say(f"mrag: {more}")
    if errors:
        raise errors[0]
    if failed:
        raise typer.Exit(SOME_FAILED)


@dataclass(frozen=True)
class _How:
    """Who syncs, and what is shown of it."""

    local: bool
    as_json: bool
    dry_run: bool


@dataclass(frozen=True)
class _Done:
    """What came of a sync: for people, and for programs."""

    text: str
    result: Mapping[str, Any]


def _names(everything: bool, named: Sequence[str]) -> list[str]:
    """The collections that are meant."""
    if named:
        return list(dict.fromkeys(named))
    known = collection_names(home_of_user())
    if everything:
        with_sources = [name for name in known if _paths(name)]
        for name in sorted({*known} - {*with_sources}):
            say(f"{name}: knows no source that could change")
        return with_sources
    if name := collection_named(""):
        return [name]
    if len(known) != 1:
        told = f"which of {', '.join(known)}" if known else "there is none to sync"
        raise InvalidInput(
            f"{told}? name it with --collection NAME, or sync them all: mrag sync all"
        )
    return known


def _paths(name: str) -> set[Path]:
    """Where the sources of a collection lie."""
    from ingest.sources import Sources

    known = Sources(CollectionFolder(home_of_user(), name)).known()
    places = (place for one in known if one.can_sync for place in (one.path, one.images) if place)
    return {Path(place) for place in places}


def _asking(how: _How, name: str, *, yes: bool) -> _Done:
    """Sync; asks before much leaves, where somebody is here to be asked."""
    try:
        return _synced(how, name, "all" if yes else "little")
    except TooMuchLeaves as error:
        if not sys.stdin.isatty():
            raise
        say(f"mrag: {error}")
        typer.confirm("Let all of that go?", abort=True, err=True)
        return _synced(how, name, "all")


def _synced(how: _How, name: str, allowed: Allowed) -> _Done:
    """Sync, or look: by the server of the home where one runs, or else here."""
    with served(local=how.local) as client:
        if client is not None:
            return _synced_there(client, how, name, allowed)
    return _synced_here(how, name, allowed)


def _synced_there(client: Client, how: _How, name: str, allowed: Allowed) -> _Done:
    options = asked(SyncOptions, allowed=allowed, dry_run=how.dry_run)
    job = followed(client, client.sync(name, options))
    return _Done(job.message, dict(job.result or {}))


def _synced_here(how: _How, name: str, allowed: Allowed) -> _Done:
    from cli.progress import progress_bars
    from ingest import sync

    with opened_engine(settings_for()) as engine, progress_bars() as on_progress:
        if how.dry_run:
            report = sync.preview(engine, name, on_progress)
        else:
            report = sync.sync(engine, name, allowed=allowed, on_progress=on_progress)
    return _Done(report.text, sync.sync_json(name, report))


def _shown(name: str, done: _Done, how: _How) -> bool:
    """Show what was done; whether some of it failed."""
    if how.as_json:
        emit(done.result)
    say_lines(f"{name}: {done.text}")
    return bool(done.result.get("failed"))


class _Watching:
    """Stays, and syncs whenever something changes."""

    def __init__(
        self, how: _How, names: Sequence[str], poll: float | None, allowed: Allowed
    ) -> None:
        self._how, self._names, self._poll, self._allowed = how, names, poll, allowed
        self._again: set[str] = set()
        self._said: dict[str, str] = {}

    def stay(self) -> None:
        """Sync until somebody stops it."""
        from ingest.watching import SETTLE_S, watch

        while True:
            paths = {name: _paths(name) for name in self._names}
            if not any(paths.values()):
                whose = ", ".join(self._names) or "any collection"
                raise NothingToSync(
                    f"no source of {whose} is known that could change; make one known by ingesting "
                    "it once more, with mrag ingest"
                )
            places = sorted(set().union(*paths.values()))
            say(f"watching {', '.join(map(str, places))}; stop with Ctrl-C")
            watched = watch(places, poll=self._poll, settle=SETTLE_S, every=LOOK_AGAIN_S)
            with closing(watched) as changes:
                next(changes)  # from now on nothing is missed
                self._sync(self._names)
                for changed in changes:
                    self._sync(self._touched(paths, changed))
                    if {name: _paths(name) for name in self._names} != paths:
                        break

    def _touched(self, paths: Mapping[str, Iterable[Path]], changed: set[Path]) -> Iterator[str]:
        """The collections that something changed for, and those that are to be tried again."""
        again, self._again = self._again, set()
        for name, places in paths.items():
            if name in again or any(
                path.is_relative_to(place) for path in changed for place in places
            ):
                yield name

    def _sync(self, names: Iterable[str]) -> None:
        for name in list(names):
            try:
                done = _synced(self._how, name, self._allowed)
            except MragError as error:
                self._tell(name, f"{error}; this is tried again")
                self._again.add(name)
                continue
            if done.result.get("changed_anything"):
                self._said[name] = ""
                _shown(name, done, self._how)
            elif done.result.get("failed"):
                self._tell(name, done.text)

    def _tell(self, name: str, text: str) -> None:
        """Say what is wrong, once until it is otherwise."""
        if self._said.get(name) != text:
            self._said[name] = text
            say_lines(f"{name}: {text}")
