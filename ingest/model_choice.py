"""Which models a new collection may be made with, and which of them are here."""

from __future__ import annotations

from dataclasses import dataclass

from engine.app import Engine
from engine.errors import CollectionMissing, IncompatibleIndex, MragError
from engine.models.presence import absent
from engine.settings import PROFILES
from ingest.filling import Specs


@dataclass(frozen=True)
class ModelChoice:
    """An encoder and a generator that work together.

    `profile` is what they are called, "" where they are no profile's. `used_by` are the
    collections that were made with them. `is_here`: nothing has to be fetched.
    """

    specs: Specs
    profile: str
    used_by: tuple[str, ...]
    is_here: bool


def model_choices(engine: Engine) -> list[ModelChoice]:
    """What a new collection may be made with, what is to be preferred first.

    That is what the settings name, if it is here; else what collections were made with and is
    here: nobody has to fetch gigabytes to begin. What must be fetched comes last.
    """
    settings = engine.settings

    def named(specs: Specs) -> Specs:
        """With what the settings name in place of everything else."""
        return settings.encoder or specs[0], settings.generator or specs[1]

    made_with: dict[Specs, list[str]] = {}
    for name in engine.names():
        try:
            card = engine.folder(name).read_card()
        except (CollectionMissing, IncompatibleIndex):
            continue
        made_with.setdefault(named((card.encoder, card.generator)), []).append(name)
    profiles = {specs: name for name, specs in PROFILES.items()}
    known = dict.fromkeys([settings.models(), *made_with, *map(named, profiles)])
    found = [
        ModelChoice(
            specs, profiles.get(specs, ""), tuple(made_with.get(specs, ())), _is_here(specs)
        )
        for specs in known
    ]
    return sorted(found, key=lambda choice: not choice.is_here)


def _is_here(specs: Specs) -> bool:
    try:
        return not absent(*specs)
    except MragError:
        return False
