"""A collection on disk: its folder, its card (collection.json) and where its parts lie."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput
from engine.files import write_whole

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
LAYOUT = 1
"""Version of the folder layout; another one is refused."""


@dataclass(frozen=True)
class CollectionCard:
    """What a collection was made with.

    `encoder` and `generator` are what loads them (as in Settings), `encoder_id` is what the
    vectors were really made with. `memory` names the collection whose captions describe
    this one's pictures; empty: its own captions do.
    """

    name: str
    encoder: str
    encoder_id: str
    dim: int
    generator: str
    memory: str = ""
    layout: int = LAYOUT


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
        self.alignment = self.path / "alignment.safetensors"
        self.moments = self.path / "moments.safetensors"
        self.gap = self.path / "gap.safetensors"
        self.index = self.path / "index"
        self.skipped = self.path / "skipped.jsonl"
        self._card = self.path / "collection.json"
        self._level = self.path / "level.txt"

    def sibling(self, name: str) -> CollectionFolder:
        """Another collection of the same home."""
        return CollectionFolder(self.path.parent.parent, name)

    def exists(self) -> bool:
        """Whether the collection has been made."""
        return self._card.is_file()

    def read_card(self) -> CollectionCard:
        """Read the card; raises CollectionMissing or IncompatibleIndex."""
        if not self.exists():
            raise CollectionMissing(
                f"there is no collection {self.name!r} in {self.path.parent}; "
                f"make it with: mrag ingest SOURCE --collection {self.name}"
            )
        try:
            values = json.loads(self._card.read_text(encoding="utf-8"))
            layout = values.get("layout") if isinstance(values, dict) else None
            if layout is None or layout == LAYOUT:
                return _CARD.validate_python(values)
        except (OSError, ValueError) as error:
            raise IncompatibleIndex(
                f"{self._card} cannot be read ({_brief(error)}); delete that file and ingest the "
                "same source with the same encoder again: what has been embedded is kept"
            ) from error
        raise IncompatibleIndex(
            f"collection {self.name!r} has layout {layout!r}, this program reads layout {LAYOUT}; "
            f"delete {self.path} and ingest again"
        )

    def write_card(self, card: CollectionCard) -> None:
        """Write the card, whole or not at all."""
        write_whole(self._card, json.dumps(asdict(card), indent=2) + "\n")

    def write_level(self, fingerprint: str) -> None:
        """Note by its fingerprint the map that the whole index has been written with."""
        write_whole(self._level, fingerprint)

    def read_level(self) -> str:
        """The fingerprint of the map that the index was written with, "" where none is noted."""
        try:
            return self._level.read_text(encoding="utf-8")
        except OSError:
            return ""


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
