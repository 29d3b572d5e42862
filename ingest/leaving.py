"""What no source of a collection gives any longer: what of it has moved, may go, or must stay."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from corpus.entry import Entry, Name
from corpus.ledger import Ledger
from corpus.records import CaptionRecord
from corpus.shards import Shard
from corpus.tables import path_key
from engine.identity import shot_sha256
from engine.progress import check_cancelled
from engine.video.address import Clip, file_at
from engine.video.still import content_of
from ingest.given import Given, GivenFile, State
from ingest.looking import SourceState
from ingest.sources import Keys
from ingest.whereabouts import below, is_gone, nearest_folder
from mrag_client.files import open_regular

Verdict = Literal["stays", "gone", "held"]
"""`held`: the file is out of reach, which is no reason to let it go."""


@dataclass
class Lost:
    """Pictures whose files no source gives, `gone` and `held` by file; and captions.

    `kept`: how many files of the picture are neither.
    """

    pictures: list[LostPicture] = field(default_factory=list)
    captions: list[CaptionRecord] = field(default_factory=list)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are gone."""
        return tuple(name.path for picture in self.pictures for name in picture.gone)

    def leaving(self) -> list[LostPicture]:
        """The pictures of which no file is left."""
        return [one for one in self.pictures if one.leaves]

    def held(self) -> Counter[Path]:
        """The folders that files are out of reach in, with their numbers."""
        return Counter(
            folder
            for picture in self.pictures
            if not picture.moved_to
            for folder in picture.held.values()
        )


@dataclass
class LostPicture:
    """A picture that lost files; `held` by folder, `moved_to` where its content lies now."""

    entry: Entry
    gone: list[Name] = field(default_factory=list)
    held: dict[Name, Path] = field(default_factory=dict)
    moved_to: str = ""

    @property
    def leaves(self) -> bool:
        """Whether no file is left of it."""
        return len(self.gone) == len(self.entry.names) and not self.moved_to


def find_lost(ledger: Ledger, given: Given, states: Sequence[SourceState]) -> Lost:
    """What the collection has from these sources and none of them gives."""
    known = ledger.file_keys()
    unseen = np.setdiff1d(known, given.keys("file"), assume_unique=True)
    verdicts = Verdicts(states, unseen, given.keys("file"))
    lost = Lost()
    wanted = set(unseen.tolist())
    for number, rows in ledger.files_at(wanted):
        check_cancelled()
        for entry in Shard(ledger.shard(number)).entries(rows):
            picture = LostPicture(entry)
            for name in entry.names:
                if (key := path_key(name.path)) in wanted:
                    _judge(picture, name, *verdicts.of(key, name))
            if picture.gone or picture.held:
                lost.pictures.append(picture)
    _find_moved(lost, given)
    lost.captions = list(_unsaid(ledger, given, states))
    return lost


class Verdicts:
    """Decides of files that no source gives, by the sources that they came from.

    A file of which nobody knows where it came from stays.
    """

    def __init__(self, states: Sequence[SourceState], unseen: Keys, given: Keys) -> None:
        self._given = given
        self._folders = [state for state in states if state.is_folder]
        self._files = [
            (state, set(np.intersect1d(unseen, state.gave).tolist()))
            for state in states
            if not state.is_folder
        ]

    def of(self, key: int, name: Name) -> tuple[Verdict, Path]:
        """What is to become of a file, and the folder that it is out of reach in."""
        covering = [
            (state, way)
            for state in self._folders
            if (way := below(state.base, name.path, name.uri)) is not None
        ]
        listing = [state for state, gave in self._files if key in gave]
        states = [*(state for state, _ in covering), *listing]
        if not states or any(state.trouble for state in states):
            return "stays", Path()
        path = file_at(name.path)
        if str(path) != name.path and np.isin(path_key(str(path)), self._given):
            return "stays", Path()  # its video has changed: when that was watched it is known
        try:
            path.lstat()
        except FileNotFoundError:
            roots = [
                (way, state.base if way.is_relative_to(state.base) else Path(way.anchor))
                for state, way in covering or [(state, path) for state in listing]
            ]
            gone = any(is_gone(way, root) for way, root in roots)
            return ("gone" if gone else "held"), nearest_folder(*roots[0])
        except OSError:
            return "held", path.parent
        taken_out = not covering and all(state.whole for state in listing)
        return ("gone" if taken_out else "stays"), Path()


def _judge(picture: LostPicture, name: Name, verdict: Verdict, folder: Path) -> None:
    if verdict == "gone":
        picture.gone.append(name)
    elif verdict == "held":
        picture.held[name] = folder


def _find_moved(lost: Lost, given: Given) -> None:
    """Find the content of lost pictures among new files; only those of the same size are read."""
    by_size: dict[int, dict[str, LostPicture]] = {}
    for picture in lost.pictures:
        for name in (*picture.gone, *picture.held):
            by_size.setdefault(name.size, {})[picture.entry.sha256] = picture
    moved: list[GivenFile] = []
    for file in given.files(State.NEW) if by_size else ():
        wanted = by_size.get(file.size, {})
        check_cancelled()
        if wanted and (found := wanted.get(_sha256(file.record.path))):
            found.moved_to = file.record.uri
            moved.append(file)
    for file in moved:
        given.put(file, State.MOVED)


def _sha256(path: Path) -> str:
    """What stands for a file's content, or a shot's; "" where it cannot be read."""
    try:
        if clip := Clip.at(path):
            return shot_sha256(content_of(clip.file), clip.start_ms)
        with open_regular(path) as file:
            digest = hashlib.sha256()
            while part := file.read(2**20):
                digest.update(part)
            return digest.hexdigest()
    except (OSError, ValueError):
        return ""


def _unsaid(ledger: Ledger, given: Given, states: Sequence[SourceState]) -> Iterator[CaptionRecord]:
    """The captions that stood alone in files that were read whole, and are in none any more."""
    files = [state for state in states if not state.is_folder]
    gave = joined(state.gave for state in files if state.whole)
    others = joined(state.gave for state in files if not state.whole)
    for still in (given.keys("caption"), given.keys("file"), others):
        gave = np.setdiff1d(gave, still, assume_unique=True)
    for number, rows in ledger.loose_at(gave.tolist()):
        yield from Shard(ledger.shard(number)).loose_captions(rows)


def joined(keys: Collection[Keys] | Iterator[Keys]) -> Keys:
    """All of these keys, each once."""
    return np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
