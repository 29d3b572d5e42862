"""What a collection's owner says of its pictures: each correction a record that is never changed.

A correction is first written down by itself (`keep_waiting`), whole and synced, by whoever makes
it and whatever else is being written: so it is safe before anybody waits. Who writes the
collection then takes it into a shard of `corrections/`, with the vector of its caption and a
commit. All are kept: an undo is a record too. Of a picture that correction stands which was made
last and is not undone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from corpus.arrays import binaries, numbers, texts
from corpus.entry import key_of
from corpus.parquet import Columns, DamagedShard, Halves, ShardFile, packed, write_columns
from corpus.records import not_text
from engine.disk import refused
from engine.errors import InvalidInput
from engine.files import write_whole

_KIND = "mrag-correction/1"
_VECTOR = "vector"
_WAITING = "waiting"
MOST = 1000
"""Characters of a caption at most: a prompt holds several."""

CorrectionKind = Literal["edited", "accepted", "undone"]


@dataclass(frozen=True)
class Correction:
    """What somebody said of the picture with this sha256.

    `edited`: they wrote `text`; `accepted`: they took a text that was generated; `undone`: they
    took the correction `undoes` back. `replaced` was shown before. `when` is UTC (ISO 8601).
    """

    id: str
    sha256: str
    kind: CorrectionKind
    text: str
    replaced: str
    undoes: str
    who: str
    when: str

    @property
    def text_key(self) -> int:
        """63 bits that tell its text from others."""
        return key_of(self.text)


_CORRECTION = TypeAdapter(Correction)


class Standing(NamedTuple):
    """The correction that stands of the picture in `row` of an embedding shard, where it lies."""

    row: int
    shard: int
    correction_row: int


def correction_of(
    sha256: str, kind: CorrectionKind, text: str = "", *, replaced: str, who: str, undoes: str = ""
) -> Correction:
    """A correction that is made now."""
    when = datetime.now(UTC).isoformat(timespec="microseconds")
    return Correction(secrets.token_hex(16), sha256, kind, text, replaced, undoes, who, when)


def checked_text(text: str) -> str:
    """A caption as it is kept: on one line; raises InvalidInput for none, and for a book."""
    told = " ".join(text.split())
    if trouble := not_text(told):
        raise InvalidInput(f"the description {trouble}")
    if not any(map(str.isalnum, told)):
        raise InvalidInput("the description has no words; write what the picture shows")
    if len(told) > MOST:
        raise InvalidInput(
            f"the description has {len(told):,} characters, the limit is {MOST:,}; say it in fewer"
        )
    return told


# Those that wait to be taken in.


def keep_waiting(folder: Path, correction: Correction) -> None:
    """Write a correction down, whole and synced, for who next writes the collection.

    Raises DiskFull and the like: nothing has changed then.
    """
    place = folder / _WAITING
    text = json.dumps(asdict(correction), ensure_ascii=False) + "\n"
    try:
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / f"{correction.id}.json", text)
    except OSError as error:
        raise refused(place, error) from error


def waiting(folder: Path) -> list[Correction]:
    """The corrections that wait, in the order in which they were made."""
    found = []
    for path in (folder / _WAITING).glob("*.json"):
        try:
            found.append(_CORRECTION.validate_json(path.read_bytes()))
        except (FileNotFoundError, ValidationError):
            continue  # taken in meanwhile, or no correction at all
    return sorted(found, key=lambda one: (one.when, one.id))


def forget_waiting(folder: Path, corrections: Iterable[Correction]) -> None:
    """Let go of those that have been taken in."""
    for one in corrections:
        (folder / _WAITING / f"{one.id}.json").unlink(missing_ok=True)


# Their shards.


def write_corrections(
    folder: Path,
    number: int,
    corrections: Sequence[Correction],
    vectors: Halves,
    *,
    commits: Sequence[int],
    encoder_id: str,
) -> ShardFile:
    """Write corrections, each of its commit, and their captions' vectors (n, dim), or nothing.

    The vector of an undo is of zeros.
    """
    columns = {
        "since": numbers(commits),
        "sha256": binaries([bytes.fromhex(one.sha256) for one in corrections]),
        **{
            name: texts([getattr(one, name) for one in corrections])
            for name in ("id", "kind", "text", "replaced", "undoes", "who", "when")
        },
        _VECTOR: packed(vectors, np.arange(len(corrections) + 1)),
    }
    about = {
        "kind": _KIND,
        "encoder_id": encoder_id,
        "dim": str(vectors.shape[1]),
        "commit": str(max(commits)),
    }
    return write_columns(folder, number, pa.table(columns), about, (_VECTOR,))


class CorrectionShard:
    """A shard of corrections; raises DamagedShard."""

    def __init__(self, file: ShardFile) -> None:
        self.columns = Columns(file, _KIND)
        self.commit = self.columns.number("commit")

    @property
    def encoder_id(self) -> str:
        """The encoder that the vectors were made with."""
        return str(self.columns.about.get("encoder_id", ""))

    def all(self) -> list[tuple[Correction, int]]:
        """The corrections, each with its commit."""
        names = ("id", "sha256", "kind", "text", "replaced", "undoes", "who", "when", "since")
        rows = zip(*(self.columns.column(name).to_pylist() for name in names), strict=True)
        try:
            return [
                (Correction(key, sha256.hex(), *rest), since) for key, sha256, *rest, since in rows
            ]
        except (TypeError, AttributeError) as error:
            raise DamagedShard(self.columns.shard.path, error) from error

    @property
    def vectors(self) -> Halves:
        """The vectors of all, (n, dim)."""
        return self.columns.halves(_VECTOR)


class CorrectionReader:
    """Reads the captions of corrections with their vectors, each shard once."""

    def __init__(self, files: dict[int, ShardFile]) -> None:
        self._files = files
        self._read: dict[int, tuple[list[tuple[Correction, int]], Halves]] = {}

    def by_picture(self, standing: Iterable[Standing]) -> dict[int, tuple[str, Halves]]:
        """The caption that stands, and its stored vector (dim,), by the row of its picture."""
        return {one.row: self.caption(one.shard, one.correction_row) for one in standing}

    def caption(self, number: int, row: int) -> tuple[str, Halves]:
        """The caption in a row of a shard, and its stored vector."""
        corrections, vectors = self._of(number)
        return corrections[row][0].text, vectors[row]

    def correction(self, number: int, row: int) -> Correction:
        """The correction in a row of a shard."""
        return self._of(number)[0][row][0]

    def _of(self, number: int) -> tuple[list[tuple[Correction, int]], Halves]:
        if number not in self._read:
            shard = CorrectionShard(self._files[number])
            self._read[number] = (shard.all(), shard.vectors)
        return self._read[number]


def stands(corrections: Sequence[Correction]) -> Correction | None:
    """Of a picture's corrections, in order, the one that stands."""
    undone = {one.undoes for one in corrections}
    left = [one for one in corrections if one.kind != "undone" and one.id not in undone]
    return left[-1] if left else None


def joined(
    said: Sequence[str], vectors: Halves, correction: tuple[str, Halves] | None
) -> tuple[tuple[str, ...], Halves]:
    """A picture's captions with the one that corrects them first, each text once, and vectors."""
    if correction is None:
        return tuple(said), vectors
    text, vector = correction
    rest = [at for at, one in enumerate(said) if one != text]
    return joined_texts(said, text), np.concatenate([vector[None], vectors[rest]])


def joined_texts(said: Sequence[str], correction: str | None) -> tuple[str, ...]:
    """A picture's captions with the one that corrects them first, each text once."""
    if correction is None:
        return tuple(said)
    return (correction, *(one for one in said if one != correction))
