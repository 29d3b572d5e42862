"""A collection on disk: its folder, its card (collection.json) and where its parts lie."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput
from engine.files import write_whole
from engine.folder_lock import is_locked

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
LAYOUT = 2
"""Version of the folder layout; another one is refused."""


@dataclass(frozen=True)
class CollectionCard:
    """What a collection was made with.

    `encoder` and `generator` are what loads them (as in Settings), `encoder_id` is what the
    vectors were really made with. `memory` names the collection whose captions describe
    this one's pictures; empty: its own captions do. `made` is when, in UTC; empty: by an
    earlier version, which did not note it.
    """

    name: str
    encoder: str
    encoder_id: str
    dim: int
    generator: str
    memory: str = ""
    layout: int = LAYOUT
    made: str = ""


_CARD = TypeAdapter(CollectionCard)


class CollectionFolder:
    """The files of one collection under `home/collections/<name>`."""

    def __init__(self, home: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"collection name {name!r} is not allowed: use up to 63 lower-case letters, "
                "digits, '-' and '_', starting with a letter or digit"
            )
        self.name = name
        self.path = home / "collections" / name
        self.embeddings = self.path / "embeddings"
        self.generated = self.path / "generated"
        self.rounds = self.path / "rounds"
        self.corrections = self.path / "corrections"
        self.tags = self.path / "tags"
        self.alignment = self.path / "alignment.safetensors"
        self.moments = self.path / "moments.safetensors"
        self.index = self.path / "index"
        self.skipped = self.path / "skipped.jsonl"
        self.sights = self.path / "sights.sqlite"
        self.copies = self.path / "copies.json"
        self.videos = self.path / "videos.sqlite"
        self.writing_lock = self.path / ".writing.lock"
        self._card = self.path / "collection.json"

    def sibling(self, name: str) -> CollectionFolder:
        """Another collection of the same home."""
        return CollectionFolder(self.path.parent.parent, name)

    def exists(self) -> bool:
        """Whether the collection has been made."""
        return self._card.is_file()

    def is_being_written(self) -> bool:
        """Whether somebody holds the lock of who writes."""
        return is_locked(self.writing_lock)

    def layout(self) -> int | None:
        """The layout that the card names; None without a card that says it."""
        try:
            values = json.loads(self._card.read_text(encoding="utf-8"))
            return int(values["layout"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read_card(self, *, layout: int = LAYOUT) -> CollectionCard:
        """Read the card of that layout; raises CollectionMissing or IncompatibleIndex."""
        if not self.exists():
            raise CollectionMissing(
                f"there is no collection {self.name!r} in {self.path.parent}; "
                f"make it with: mrag ingest SOURCE --collection {self.name}"
            )
        try:
            values = json.loads(self._card.read_text(encoding="utf-8"))
            found = values.get("layout") if isinstance(values, dict) else None
            if found is None or found == layout:
                return _CARD.validate_python(values)
        except (OSError, ValueError) as error:
            raise IncompatibleIndex(
                f"{self._card} cannot be read ({_brief(error)}); delete that file and ingest the "
                "same source with the same encoder again: what has been embedded is kept"
            ) from error
        if isinstance(found, int) and found < layout:
            raise IncompatibleIndex(
                f"collection {self.name!r} was made by an earlier version of mrag (layout {found}, "
                f"this one reads {layout}); bring it over with: mrag migrate {self.name}"
            )
        raise IncompatibleIndex(
            f"collection {self.name!r} has layout {found!r}, this program reads layout {layout}; "
            "update mrag if a later version made it, or ingest into a collection of another name"
        )

    def write_card(self, card: CollectionCard) -> None:
        """Write the card, whole or not at all."""
        write_whole(self._card, json.dumps(asdict(card), indent=2) + "\n")


def _brief(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'card'}: {problem['msg']}"
        for problem in error.errors()
    )


def collection_names(home: Path) -> list[str]:
    """The names of all collections under `home`, sorted."""
    return sorted(card.parent.name for card in (home / "collections").glob("*/collection.json"))
