"""Embedding shards: one safetensors file holds vectors and what they are of, and is one commit.

A shard holds pictures in order, then captions that stand alone ("loose"). Tensors: `images`
(n, d) and `captions` (m, d), float16; `caption_owner` (m,) int32, the row of the picture, -1
for loose captions. The captions of a picture lie together, in its order. Pictures of earlier
shards that are there no longer are named ("withdrawn").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from corpus.records import CaptionRecord
from engine.errors import StoreUnavailable
from engine.tensorfile import write_tensors

Halves = NDArray[np.float16]

_KIND = "mrag-shard/1"
_GENERATED_KIND = "mrag-generated/1"
_ROUND_KIND = "mrag-round/1"
_DAMAGE = (SafetensorError, OSError, ValueError, KeyError, TypeError)
_NAME = re.compile(r"shard-(\d{5,})\.safetensors")


@dataclass(frozen=True)
class Entry:
    """A picture as it was embedded: its record, and its file at that time."""

    image_id: str
    uri: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    width: int
    height: int
    taken_at: str | None
    captions: tuple[str, ...]
    split: str
    tags: tuple[str, ...]


class Withdrawn(NamedTuple):
    """A picture that is there no longer: its id, and the sha256 that it had."""

    image_id: str
    sha256: str


@dataclass(frozen=True)
class Contents:
    """What a shard's vectors are of, and which pictures it withdraws."""

    entries: tuple[Entry, ...]
    loose: tuple[CaptionRecord, ...]
    withdrawn: tuple[Withdrawn, ...] = ()

    @cached_property
    def spans(self) -> list[slice]:
        """For each picture the rows of its captions."""
        ends = accumulate((len(entry.captions) for entry in self.entries), initial=0)
        return [slice(start, end) for start, end in pairwise(ends)]

    @cached_property
    def loose_span(self) -> slice:
        """The rows of the loose captions."""
        start = self.spans[-1].stop if self.spans else 0
        return slice(start, start + len(self.loose))

    @cached_property
    def owners(self) -> NDArray[np.int32]:
        """For each caption row the row of its picture, -1 for loose captions: (m,)."""
        counts = [len(entry.captions) for entry in self.entries]
        owned = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.concatenate([owned, np.full(len(self.loose), -1, np.int32)])


@dataclass(frozen=True)
class Shard:
    """A shard in memory; vectors as they are stored, see `unit`."""

    contents: Contents
    images: Halves
    captions: Halves


@dataclass(frozen=True)
class Described:
    """A caption that was generated for the picture with this sha256."""

    sha256: str
    image_id: str
    text: str


@dataclass(frozen=True)
class DescribedShard:
    """Generated captions and their vectors, row by row."""

    described: tuple[Described, ...]
    captions: Halves


@dataclass(frozen=True)
class Refined:
    """A caption that a refinement round adds to a picture, which has captions of its own.

    It stands while these are the ones that it was scored against: `captions_key` is theirs, as
    hex. `score` is what it was worth.
    """

    sha256: str
    image_id: str
    captions_key: str
    text: str
    score: float


@dataclass(frozen=True)
class RoundShard:
    """The captions of a refinement round and their vectors, row by row."""

    refined: tuple[Refined, ...]
    captions: Halves


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:05d}.safetensors"


def shard_sizes(folder: Path) -> dict[int, int]:
    """The shards in a folder: number -> bytes, ascending."""
    found: dict[int, int] = {}
    for path in folder.glob("shard-*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match:
            found[int(match[1])] = path.stat().st_size
    return dict(sorted(found.items()))


def write_shard(path: Path, shard: Shard, encoder_id: str) -> None:
    """Write a shard, whole or not at all."""
    contents = shard.contents
    records = {
        "entries": [asdict(entry) for entry in contents.entries],
        "loose": [asdict(caption) for caption in contents.loose],
        "withdrawn": contents.withdrawn,
    }
    tensors: dict[str, NDArray[Any]] = {
        "images": shard.images,
        "captions": shard.captions,
        "caption_owner": contents.owners,
    }
    write_tensors(path, _KIND, tensors, {"encoder_id": encoder_id, "records": json.dumps(records)})


def read_contents(path: Path) -> Contents:
    """Read what a shard's vectors are of; raises StoreUnavailable for a damaged file."""
    with _Opened(path, _KIND) as opened:
        return _contents(opened.records)


def read_shard(path: Path) -> Shard:
    """Read a shard; raises StoreUnavailable for a damaged file."""
    with _Opened(path, _KIND) as opened:
        contents = _contents(opened.records)
        shard = Shard(contents, opened.tensor("images"), opened.tensor("captions"))
        if len(shard.images) != len(contents.entries) or not np.array_equal(
            opened.tensor("caption_owner"), contents.owners
        ):
            raise ValueError("its vectors do not belong to its records")
        return shard


def write_described(path: Path, shard: DescribedShard, encoder_id: str) -> None:
    """Write a shard of generated captions, whole or not at all."""
    records = json.dumps([asdict(described) for described in shard.described])
    metadata = {"encoder_id": encoder_id, "records": records}
    write_tensors(path, _GENERATED_KIND, {"captions": shard.captions}, metadata)


def read_described(path: Path) -> DescribedShard:
    """Read a shard of generated captions; raises StoreUnavailable for a damaged file."""
    with _Opened(path, _GENERATED_KIND) as opened:
        described = tuple(Described(**record) for record in opened.records)
        captions = opened.tensor("captions")
        if len(captions) != len(described):
            raise ValueError("its vectors do not belong to its records")
        return DescribedShard(described, captions)


def write_round(path: Path, shard: RoundShard, encoder_id: str) -> None:
    """Write the captions of a refinement round, whole or not at all."""
    records = json.dumps([asdict(refined) for refined in shard.refined])
    metadata = {"encoder_id": encoder_id, "records": records}
    write_tensors(path, _ROUND_KIND, {"captions": shard.captions}, metadata)


def read_round(path: Path) -> RoundShard:
    """Read the captions of a refinement round; raises StoreUnavailable for a damaged file."""
    with _Opened(path, _ROUND_KIND) as opened:
        refined = tuple(Refined(**record) for record in opened.records)
        captions = opened.tensor("captions")
        if len(captions) != len(refined):
            raise ValueError("its vectors do not belong to its records")
        return RoundShard(refined, captions)


def round_rows(path: Path) -> Any:
    """The vectors of a refinement round, of which only the rows sliced are read: (n, dim)."""
    with _Opened(path, _ROUND_KIND) as opened:
        return opened.rows("captions")


def encoder_of(folder: Path) -> str:
    """The id of the encoder that a folder's shards were made with, "" where there is no shard.

    Raises StoreUnavailable for a damaged file.
    """
    for number in shard_sizes(folder):
        with _Opened(shard_path(folder, number), _KIND) as opened:
            return opened.encoder_id
    return ""


class ShardReader:
    """Reads the shards of a folder and keeps the one read last, for rows that lie together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = -1
        self._shard: Shard | None = None

    def read(self, number: int) -> Shard:
        """The shard of that number; raises StoreUnavailable for a damaged file."""
        if self._shard is None or number != self._number:
            self._shard = read_shard(shard_path(self._folder, number))
            self._number = number
        return self._shard


class _Opened:
    """A shard file being read; whatever is wrong with it becomes StoreUnavailable."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind

    def __enter__(self) -> _Opened:
        try:
            self._file: Any = safe_open(self._path, framework="numpy")  # its methods are untyped
            metadata = self._metadata()
            self.encoder_id = metadata["encoder_id"]
            self.records: Any = json.loads(metadata["records"])
        except _DAMAGE as error:
            raise self._damaged(error) from error
        return self

    def _metadata(self) -> Mapping[str, str]:
        metadata: Mapping[str, str] = self._file.metadata() or {}
        if metadata.get("kind") != self._kind:
            raise ValueError(f"it is of kind {metadata.get('kind')}, not {self._kind}")
        return metadata

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _DAMAGE):
            raise self._damaged(error) from error

    def tensor(self, name: str) -> NDArray[Any]:
        return np.asarray(self._file.get_tensor(name))

    def rows(self, name: str) -> Any:
        return self._file.get_slice(name)

    def _damaged(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"the embeddings in {self._path} cannot be read ({error}); delete that file and "
            "ingest again: only what was in it is embedded again"
        )


def _contents(records: Mapping[str, Any]) -> Contents:
    return Contents(
        tuple(_entry(values) for values in records["entries"]),
        tuple(CaptionRecord(**values) for values in records["loose"]),
        tuple(Withdrawn(*values) for values in records.get("withdrawn", ())),
    )


def _entry(values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    return replace(entry, captions=tuple(entry.captions), tags=tuple(entry.tags))
