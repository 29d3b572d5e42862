"""A picture as it was embedded: its content, and the names that sources gave it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from engine.identity import PictureIdentity
from engine.metadata.facts import joined_metadata
from engine.types import NO_METADATA, Metadata
from engine.words import folded


@dataclass(frozen=True)
class Name:
    """What one source says of a picture: its id there, its file at that time, and its words.

    `path` is that of the file, as `os.fsdecode` gives it; `uri` is what a search shows.
    `metadata` is what the file says of itself, and the sidecars beside it; `sidecar` tells whether
    these have changed, None where nobody has looked (an earlier version).
    """

    image_id: str
    uri: str
    path: str
    size: int
    mtime_ns: int
    captions: tuple[str, ...] = ()
    split: str = ""
    tags: tuple[str, ...] = ()
    metadata: Metadata = NO_METADATA
    sidecar: str | None = None

    @property
    def said(self) -> int:
        """63 bits that differ when what the source says of the picture does, or its sidecars."""
        counts = f"{len(self.captions)} {len(self.tags)}"
        said = (counts, self.image_id, self.uri, self.split, *self.captions, *self.tags)
        return key_of(*said) if self.sidecar is None else key_of(*said, self.sidecar)


@dataclass(frozen=True)
class Entry:
    """A picture: its content (`sha256`, hex) and at least one name, the first of which is shown.

    `taken_at` is what the file says that it was read from last under that name.

    What its names say is joined: captions in the order of the names, each once, and tags. Its
    split is that of the first name that has captions, else of the first name; captions of names in
    another split are kept there but are not the picture's, which cannot be held out and not.
    """

    sha256: str
    width: int
    height: int
    names: tuple[Name, ...]
    taken_at: str | None = None

    @property
    def image_id(self) -> str:
        """The id that its first source gave it."""
        return self.names[0].image_id

    @property
    def uri(self) -> str:
        """What a search shows."""
        return self.names[0].uri

    @property
    def path(self) -> str:
        """The file that it is read from."""
        return self.names[0].path

    @property
    def identity(self) -> PictureIdentity:
        """Which picture it is."""
        return PictureIdentity(self.sha256, frozenset(name.image_id for name in self.names))

    @cached_property
    def split(self) -> str:
        """Its split; "" is a source without splits."""
        return next((name.split for name in self.names if name.captions), self.names[0].split)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """What people wrote of it, each once."""
        joined = (name.captions for name in self.names if name.split == self.split)
        return tuple(dict.fromkeys(text for captions in joined for text in captions))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Its tags, each once: those that sources gave it, and the keywords of its files."""
        tags = tuple(dict.fromkeys(tag for name in self.names for tag in name.tags))
        known = set(map(folded, tags))
        return (*tags, *(word for word in self.metadata.keywords if folded(word) not in known))

    @cached_property
    def metadata(self) -> Metadata:
        """What its files say of it, those of its first names before others."""
        return joined_metadata([name.metadata for name in self.names])

    @property
    def conflicts(self) -> tuple[Name, ...]:
        """The names whose captions are left out, as they lie in another split."""
        return tuple(name for name in self.names if name.captions and name.split != self.split)

    def named(self, names: Iterable[Name]) -> Entry:
        """The same picture under these names."""
        return replace(self, names=tuple(names))


def captions_key(captions: Sequence[str]) -> int:
    """63 bits that differ when captions do."""
    return key_of(*captions)


def key_of(*texts: str) -> int:
    """63 bits of some texts: equal for the same ones in this order, in practice for no others."""
    # With their lengths before them, so that no two lists of texts read the same.
    joined = "".join([f"{len(text)}:{text}" for text in texts])
    digest = hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
