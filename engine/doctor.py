"""What this installation has and lacks, and how to get what it lacks."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from engine.app import Engine
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import MragError
from engine.footprint import free_bytes, process_bytes, readable
from engine.models import clip_sources, image_text_matching, seq2seq, vision_language
from engine.models.device import most_threads
from engine.models.hub import missing_bytes
from engine.models.hub_cache import Needed, cached
from engine.models.loaded import CONSENSUS, Models
from engine.models.repair import repair
from engine.store import store_status
from engine.store.addresses import in_the_clear
from engine.tags.tagging import usable_taggings

_PACKAGES = (
    "mrag",
    "torch",
    "open_clip_torch",
    "transformers",
    "qdrant-edge-py",
    "qdrant-client",
    "streamlit",
    "numpy",
)

_Needs = Callable[[str], Iterator[Needed]]

_LITTLE_ROOM = 2 * 10**9
"""With fewer bytes free than these, an ingest may soon fill the disk."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `detail` holds the remedy where it is not ok."""

    subject: str
    status: Literal["ok", "missing", "note"]
    detail: str


def examine(engine: Engine, *, load: bool = True) -> list[Check]:
    """Look at versions, devices, room, models, the store and every collection.

    Without `load` only those models are looked at that are loaded already.
    """
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in _PACKAGES),
        _devices(),
        _java(),
        Check("settings", "ok", f"home {engine.settings.home}, profile {engine.settings.profile}"),
        _disk(engine),
        _memory(),
        *_models(engine, load),
        _store(engine),
        *_key(engine),
        *_collections(engine),
    ]


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "missing", f"install it with: pip install {name}")


def _devices() -> Check:
    import torch

    found = [f"cpu ({most_threads()} threads)"]
    found += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return Check("devices", "ok", ", ".join(found))


def _java() -> Check:
    found = shutil.which("java")
    if found:
        return Check("java", "ok", found)
    return Check("java", "note", "not found; only caption metrics need it (Debian: default-jre)")


def _disk(engine: Engine) -> Check:
    home = engine.settings.home
    free = free_bytes(home)
    told = f"{readable(free)} free where the collections are"
    if free < _LITTLE_ROOM:
        return Check("disk", "note", f"{told}; make room, or move them with MRAG_HOME")
    return Check("disk", "ok", told)


def _memory() -> Check:
    used = process_bytes()
    if used is None:
        return Check("memory", "note", "this system does not tell how much is used")
    return Check("memory", "ok", f"{readable(used)} used by this process")


def mend_models(engine: Engine) -> list[Check]:
    """Fetch again what is damaged, or not there, of the models' files in the hub's cache."""
    return [
        check
        for subject, spec, needs in _hosted(engine)
        for check in _mended(f"{subject} files", spec, needs)
    ]


def _mended(subject: str, spec: str, needs: _Needs) -> Iterator[Check]:
    try:
        # What a configuration names is known only once that is there.
        known = list(needs(spec))
        for needed in known:
            yield from (Check(subject, "ok", told) for told in repair(needed))
        for needed in list(needs(spec))[len(known) :]:
            yield from (Check(subject, "ok", told) for told in repair(needed))
        if not known:
            yield Check(subject, "note", f"{spec} does not come from the hub; get it again by hand")
    except MragError as error:
        yield Check(subject, "missing", str(error))


def _models(engine: Engine, load: bool) -> list[Check]:
    checks = [
        _model(engine, subject, spec, needs, load) for subject, spec, needs in _hosted(engine)
    ]
    if engine.settings.models()[1] == CONSENSUS:
        checks.append(Check("generator", "ok", "consensus, which needs no model"))
    return checks


def _hosted(engine: Engine) -> Iterator[tuple[str, str, _Needs]]:
    """The models of the settings, then others that collections were made with.

    Each comes with what tells what it needs of the hub.
    """
    settings = engine.settings
    seen: set[str] = set()
    for of, (encoder, generator) in [("", settings.models()), *_made_with(engine)]:
        if encoder not in seen:
            yield f"encoder{of}", encoder, clip_sources.needed
        if generator not in {CONSENSUS, *seen}:
            yield f"generator{of}", generator, seq2seq.needed
        seen |= {encoder, generator}
    if settings.reranker:
        yield "reranker", settings.reranker, image_text_matching.needed
    if settings.answerer:
        yield "answerer", settings.answerer, vision_language.needed


def _made_with(engine: Engine) -> Iterator[tuple[str, tuple[str, str]]]:
    settings = engine.settings
    for name in engine.names():
        with suppress(MragError):  # the check of the collection says so
            card = engine.folder(name).read_card()
            models = settings.encoder or card.encoder, settings.generator or card.generator
            yield f" of {name}", models


def _model(engine: Engine, subject: str, spec: str, needs: _Needs, load: bool) -> Check:
    is_loaded, loaded = _ways(engine.models)[subject.partition(" ")[0]]
    try:
        if not is_loaded(spec):
            if absent := [needed for needed in needs(spec) if not cached(needed)]:
                size = readable(sum(map(missing_bytes, absent)))
                waits = f"{spec} is not here yet; the first use fetches it ({size})"
                return Check(subject, "note", waits)
            if not load:
                return Check(subject, "ok", f"{spec} is here, and loads when it is first needed")
        model = loaded(spec)
    except MragError as error:
        return Check(subject, "missing", str(error))
    return Check(subject, "ok", f"{spec} loads as {model.id if model else spec}")


def _ways(models: Models) -> Mapping[str, tuple[Callable[[str], bool], Callable[[str], Any]]]:
    """How each kind of model is asked whether it is loaded, and loaded."""
    return {
        "encoder": (models.has_encoder, models.encoder),
        "generator": (models.has_generator, models.generator),
        "reranker": (models.has_matcher, models.matcher),
        "answerer": (models.has_answerer, models.answerer),
    }


def _store(engine: Engine) -> Check:
    try:
        return Check("store", "ok", store_status(engine.settings))
    except MragError as error:
        return Check("store", "missing", str(error))


def _key(engine: Engine) -> list[Check]:
    clear = ", ".join(in_the_clear(engine.settings))
    told = f"it and all data go unencrypted to {clear}; give MRAG_QDRANT_URL an https address"
    return [Check("key", "note", told)] if clear else []


def _collections(engine: Engine) -> list[Check]:
    checks = []
    for name in engine.names():
        try:
            summary = engine.open(name).summary()
        except MragError as error:
            checks.append(Check(f"collection {name}", "missing", str(error)))
            continue
        held = summary.trouble or f"{summary.images} pictures, {summary.captions} captions"
        told = f"{held}; map {summary.method or 'not fitted'}, encoder {summary.card.encoder_id}"
        if summary.waiting:
            told += f"; {summary.waiting}"
        open_end = bool(summary.trouble or summary.waiting)
        checks.append(Check(f"collection {name}", "note" if open_end else "ok", told))
        checks += _labels(engine.folder(name), summary.card)
    return checks


def _labels(folder: CollectionFolder, card: CollectionCard) -> Iterator[Check]:
    """Taggings that give nothing, as they cannot be read; the others say nothing here."""
    _, troubles = usable_taggings(folder.tags, card.encoder_id, card.dim)
    for trouble in troubles.values():
        yield Check(f"labels of {card.name}", "missing", trouble)
