"""What an engine opens, and that it sees what an ingest has changed since."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from engine.alignment.alignment import Alignment
from engine.app import Engine, build_engine
from engine.collection import CollectionCard
from engine.doctor import examine
from engine.errors import Busy, CollectionMissing, IncompatibleIndex, InvalidInput
from engine.settings import SAMPLE_PACK, Settings
from engine.store import open_caption_store, open_image_store
from engine.store.generations import GenerationState, begin, change_over
from engine.types import Vectors

DIM = 4


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    encoder = f"local-dir:{SAMPLE_PACK / 'clip'}"
    settings = Settings(home=tmp_path, qdrant_url="", encoder=encoder, generator="consensus")
    return build_engine(settings)


def make(engine: Engine, name: str) -> None:
    card = CollectionCard(name, "spec", "fake", DIM, "consensus")
    engine.folder(name).write_card(card)


def fit(engine: Engine, name: str, *mean: float) -> None:
    alignment = Alignment.from_means(mean, np.zeros(DIM), n_images=1, n_captions=1)
    alignment.save(engine.folder(name).alignment)


def push(engine: Engine, name: str, number: int) -> None:
    """Write an empty generation with the map as it is, which then answers."""
    folder = engine.folder(name)
    generation = begin(folder, number, GenerationState())
    Alignment.load(folder.alignment).save(generation.alignment)
    for store in (open_image_store, open_caption_store):
        store(folder, folder.read_card(), engine.settings, number=number, create=True).close()
    change_over(folder, number)


def test_the_only_collection_needs_no_name(engine: Engine) -> None:
    with pytest.raises(CollectionMissing, match="mrag ingest SOURCE"):
        engine.open()
    make(engine, "one")
    assert engine.open() is engine.open("one")
    make(engine, "two")
    with pytest.raises(InvalidInput, match=r"2 collections \(one, two\)"):
        engine.open()
    engine.settings.collection = "two"
    assert engine.open().card.name == "two"


def test_a_map_that_was_fitted_since_is_used_once_it_is_pushed(engine: Engine) -> None:
    make(engine, "one")
    with pytest.raises(CollectionMissing, match="mrag fit one"):
        _ = engine.open("one").fitted
    with pytest.raises(CollectionMissing, match="mrag push one"):
        _ = engine.open("one").alignment
    vector = np.eye(DIM, dtype=np.float32)[:1]
    means = ((0.5, 0, 0, 0), (0, 0.5, 0, 0))
    for number, mean in enumerate(means, 1):
        fit(engine, "one", *mean)
        if number > 1:
            pushed = engine.open("one").alignment.map_images(vector)
            np.testing.assert_allclose(pushed, centred(vector, means[number - 2]), atol=1e-6)
            assert "mrag push one" in engine.open("one").summary().waiting
        push(engine, "one", number)
        found = engine.open("one").alignment.map_images(vector)
        np.testing.assert_allclose(found, centred(vector, mean), atol=1e-6)
        assert engine.open("one").summary().waiting == ""


def centred(vector: Vectors, mean: tuple[float, ...]) -> Vectors:
    return np.asarray((vector - mean) / np.linalg.norm(vector - mean), np.float32)


def test_a_map_that_has_not_changed_is_read_once(engine: Engine) -> None:
    make(engine, "one")
    fit(engine, "one", 0.5, 0, 0, 0)
    push(engine, "one", 1)
    assert engine.open("one").fitted is engine.open("one").fitted
    assert engine.open("one").alignment is engine.open("one").alignment


def test_a_memory_that_was_named_since_is_used(engine: Engine) -> None:
    make(engine, "one")
    opened = engine.open("one")
    opened.folder.write_card(replace(opened.card, memory="coco"))
    assert engine.open("one").card.memory == "coco"


def test_a_collection_of_another_encoder_is_refused(engine: Engine) -> None:
    make(engine, "one")
    with pytest.raises(IncompatibleIndex, match=r"embedded with fake, but .* --encoder"):
        _ = engine.open("one").encoder


def test_closing_lets_others_write_and_opening_again_works(engine: Engine) -> None:
    make(engine, "one")
    fit(engine, "one", 0, 0, 0, 0)
    push(engine, "one", 1)
    for _ in range(2):
        summary = engine.open("one").summary()
        assert (summary.images, summary.captions, summary.trouble) == (0, 0, "")
        engine.close()
        engine.close()


def test_a_collection_that_is_gone_is_closed_and_can_be_made_anew(engine: Engine) -> None:
    make(engine, "one")
    opened = engine.open("one")
    shutil.rmtree(opened.folder.path)
    with pytest.raises(CollectionMissing, match="there is no collection 'one'"):
        engine.open("one")
    make(engine, "one")
    assert engine.open("one") is not opened
    with pytest.raises(CollectionMissing, match="closed meanwhile"):
        _ = opened.images


def test_sessions_share_one_queue_and_filling_goes_past_it(engine: Engine) -> None:
    spec = engine.settings.encoder
    models = engine.models
    assert models.batched_encoder(spec) is models.batched_encoder(spec)
    assert models.batched_encoder(spec) is not models.encoder(spec)
    words = ["two cats", "a dog"]
    together = models.batched_encoder(spec).encode_texts(words)
    np.testing.assert_array_equal(together, models.encoder(spec).encode_texts(words))
    closed = models.batched_encoder(spec)
    engine.close()
    with pytest.raises(Busy):
        closed.encode_texts(words)
    assert models.batched_encoder(spec).encode_texts(words).shape == together.shape
    assert models.batched_generator("consensus") is None
    engine.close()


def test_the_doctor_names_the_remedy_for_what_is_not_whole(engine: Engine) -> None:
    make(engine, "one")
    checks = {check.subject: check for check in examine(engine)}
    assert checks["collection one"].status == "note"
    assert "mrag push one" in checks["collection one"].detail
    assert "None" not in checks["collection one"].detail
    assert checks["encoder"].status == "ok"
    assert checks["generator"].detail == "consensus, which needs no model"
    assert checks["store"].status == "ok"


def test_the_doctor_says_what_is_missing(engine: Engine) -> None:
    engine.settings.generator = str(engine.settings.home / "nowhere")
    engine.settings.qdrant_url = "http://127.0.0.1"
    engine.settings.qdrant_grpc_port = (1,)
    checks = {check.subject: check for check in examine(engine)}
    assert checks["generator"].status == "missing"
    assert checks["store"].status == "missing"
    assert "MRAG_QDRANT_URL" in checks["store"].detail


def test_the_doctor_looks_at_what_each_collection_was_made_with(engine: Engine) -> None:
    make(engine, "one")
    engine.settings.profile, engine.settings.encoder, engine.settings.generator = "sample", "", ""
    checks = {check.subject: check for check in examine(engine, load=False)}
    assert checks["encoder"].status == "ok"
    assert checks["encoder of one"].status == "missing"
    assert "generator of one" not in checks  # consensus needs none


def test_the_doctor_says_that_a_key_goes_unencrypted(engine: Engine) -> None:
    engine.settings.qdrant_url = "http://qdrant.invalid"
    engine.settings.qdrant_api_key = SecretStr("secret")
    checks = {check.subject: check for check in examine(engine, load=False)}
    assert checks["key"].status == "note"
    assert "unencrypted to http://qdrant.invalid" in checks["key"].detail
    assert "secret" not in str(checks)


def test_nothing_is_loaded_only_to_be_looked_at(engine: Engine) -> None:
    checks = {check.subject: check for check in examine(engine, load=False)}
    assert "is here, and loads when it is first needed" in checks["encoder"].detail
    assert not engine.models.has_encoder(engine.settings.encoder)
    engine.models.encoder(engine.settings.encoder)
    checks = {check.subject: check for check in examine(engine, load=False)}
    assert checks["encoder"].status == "ok"
    assert "free where the collections are" in checks["disk"].detail


def test_a_model_is_loaded_once_for_all_threads(engine: Engine) -> None:
    spec = engine.settings.encoder
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: engine.models.batched_encoder(spec), range(8)))
    assert len({id(one) for one in found}) == 1
    engine.close()
