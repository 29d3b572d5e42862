"""What a server answers with when nobody says with which collection, and whether it can at once."""

from __future__ import annotations

from engine.app import Engine
from engine.errors import MragError
from engine.models.loaded import CONSENSUS


def shown_first(engine: Engine) -> str:
    """The collection shown to who names none: that of the settings, or else the oldest.

    So one that a visitor makes does not become everybody's. "" where there is none yet.
    """
    names = engine.names()
    preferred = engine.settings.collection
    if preferred in names:
        return preferred
    return min(names, key=lambda name: (_made(engine, name), name), default="")


def _made(engine: Engine, name: str) -> str:
    try:
        return engine.folder(name).read_card().made
    except MragError:
        return ""


def waiting_for(engine: Engine) -> list[str]:
    """The collections that cannot be asked yet, as their models are not loaded.

    Of many the one that is shown first counts: others load theirs when they are first asked. A
    broken one waits for nothing.
    """
    name = shown_first(engine)
    if not name:
        return []
    try:
        card = engine.folder(name).read_card()
    except MragError:
        return []
    encoder = engine.settings.encoder or card.encoder
    generator = engine.settings.generator or card.generator
    writes = generator == CONSENSUS or engine.models.has_generator(generator)
    return [] if engine.models.has_encoder(encoder) and writes else [name]
