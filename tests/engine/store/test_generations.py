"""Generations of an index: which one answers, who keeps it, what is removed when."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from qdrant_client import models

from corpus.lock import writing
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import CollectionMissing, StoreLocked
from engine.folder_lock import unread
from engine.settings import Settings
from engine.store import caption_id, open_caption_store, open_image_store
from engine.store.generations import (
    GenerationFolder,
    GenerationState,
    Hold,
    answering,
    begin,
    change_over,
    current,
    generations,
    pointer_stamp,
)
from engine.store.graph import build_graph, copy_generation
from engine.store.server_calls import connect
from engine.store.server_collections import numbers_on_server, point_aliases
from engine.store.sweeping import next_number, sweep, sweep_all, sweep_old_layout
from engine.types import CaptionPoint

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
)

HOLD_AND_WAIT = """
import sys, time
from pathlib import Path
from engine.collection import CollectionFolder
from engine.store.generations import Hold, current
hold = Hold(current(CollectionFolder(Path(sys.argv[1]), "noise")))
print("held", flush=True)
time.sleep(60)
"""


class Service(Protocol):
    calls: list[str]

    def settings(self, **others: Any) -> Settings: ...


@pytest.fixture
def folder(tmp_path: Path) -> CollectionFolder:
    return CollectionFolder(tmp_path, "noise")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, qdrant_url="")


@pytest.fixture
def card() -> CollectionCard:
    return CollectionCard("noise", "spec", "encoder-a", 16, "consensus")


def numbers(folder: CollectionFolder) -> list[int]:
    return [generation.number for generation in generations(folder)]


def points(n: int, dim: int = 16) -> list[CaptionPoint]:
    rows = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    return [
        CaptionPoint(caption_id("", f"caption {i}", "human"), f"caption {i}", row, row)
        for i, row in enumerate(rows)
    ]


def test_the_pointer_says_which_one_answers(folder: CollectionFolder) -> None:
    assert (current(folder), pointer_stamp(folder), numbers(folder)) == (None, None, [])
    for number in (1, 2):
        begin(folder, number, GenerationState())
        before = pointer_stamp(folder)
        change_over(folder, number)
        assert pointer_stamp(folder) != before
        found = current(folder)
        assert found is not None
        assert found.number == number
    assert (folder.index / "current").read_text() == "000002\n"


@pytest.mark.parametrize("content", [b"", b"\xff", b"two\n", b"000007\n"])
def test_a_pointer_that_names_nothing_is_none(folder: CollectionFolder, content: bytes) -> None:
    begin(folder, 1, GenerationState())
    (folder.index / "current").write_bytes(content)
    assert current(folder) is None
    with pytest.raises(CollectionMissing, match="mrag push noise"):
        answering(folder, "")


def test_what_was_written_is_noted_and_damage_is_nothing(folder: CollectionFolder) -> None:
    state = GenerationState(7, (1, 3), 20, 40, "http://there", {"images": 20, "captions": 40})
    generation = begin(folder, 3, state)
    assert generation.read_state() == state
    (generation.path / "generation.json").write_text("{")
    assert generation.read_state() is None


def test_an_index_of_another_place_is_named(folder: CollectionFolder) -> None:
    change_over(folder, begin(folder, 1, GenerationState(place="http://there")).number)
    with pytest.raises(CollectionMissing, match=r"on http://there, not in its folder.*mrag push"):
        answering(folder, "")


def test_what_is_read_stays_until_it_is_let_go_of(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> None:
    store = open_caption_store(folder, card, settings, create=True)
    store.upsert(points(20))
    change_over(folder, begin(folder, 2, GenerationState()).number)
    sweep(folder, settings)
    assert numbers(folder) == [1, 2]
    assert store.count() == 20
    assert len(store.search(points(1)[0].raw[None], "raw", 5)[0]) == 5
    del store
    gc.collect()
    sweep(folder, settings)
    assert numbers(folder) == [2]
    assert sorted(path.name for path in folder.index.iterdir()) == ["000002", "current"]


def test_another_process_keeps_what_it_reads_until_it_ends(
    folder: CollectionFolder, settings: Settings
) -> None:
    change_over(folder, begin(folder, 1, GenerationState()).number)
    script = [sys.executable, "-c", HOLD_AND_WAIT, str(settings.home)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        change_over(folder, begin(folder, 2, GenerationState()).number)
        sweep(folder, settings)
        assert numbers(folder) == [1, 2]
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    sweep(folder, settings)
    assert numbers(folder) == [2]


def test_what_is_being_written_is_the_writers_to_remove(
    folder: CollectionFolder, settings: Settings
) -> None:
    change_over(folder, begin(folder, 1, GenerationState()).number)
    begin(folder, 2, GenerationState())
    sweep(folder, settings)
    assert numbers(folder) == [1, 2]
    held = Hold(begin(folder, 3, GenerationState()))  # as a child does that outlived its push
    (folder.index / ".current.x.partial").touch()
    sweep_all(folder, settings)
    assert numbers(folder) == [1, 3]
    assert next_number(folder, settings) == 4
    held.close()
    sweep_all(folder, settings)
    assert sorted(path.name for path in folder.index.iterdir()) == ["000001", "current"]


def test_one_that_is_just_being_removed_cannot_be_held(folder: CollectionFolder) -> None:
    generation = begin(folder, 1, GenerationState())
    with unread(generation.path) as free:
        assert free
        with pytest.raises(CollectionMissing, match="try again"):
            Hold(generation)
    Hold(generation).close()
    with pytest.raises(CollectionMissing):
        Hold(GenerationFolder(folder, 9))


def test_an_index_from_before_there_were_generations_goes(folder: CollectionFolder) -> None:
    for path in (folder.index / "captions", folder.index / "images"):
        path.mkdir(parents=True)
    for name in ("level.txt", "gap.safetensors", "alignment.safetensors"):
        (folder.path / name).touch()
    sweep_old_layout(folder)
    left = sorted(path.name for path in folder.path.iterdir())
    assert left == ["alignment.safetensors", "index"]
    assert not list(folder.index.iterdir())


# The graph


@pytest.fixture
def written(folder: CollectionFolder, card: CollectionCard, settings: Settings) -> GenerationFolder:
    generation = begin(folder, 1, GenerationState())
    with (
        open_image_store(folder, card, settings, number=1, create=True),
        open_caption_store(folder, card, settings, number=1, create=True) as store,
    ):
        store.upsert(points(300))
        store.flush()
    change_over(folder, 1)
    return generation


def test_a_copy_answers_alike_and_takes_no_more_room(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    written: GenerationFolder,
) -> None:
    def taken(generation: GenerationFolder) -> int:
        files = [path for path in generation.path.rglob("*") if path.is_file()]
        return sum(path.stat().st_blocks * 512 for path in files)

    query = points(1)[0].raw[None]
    with (  # it answers meanwhile
        open_image_store(folder, card, settings),
        open_caption_store(folder, card, settings) as store,
    ):
        copy = copy_generation(folder, written, 2, GenerationState(commit=5))
        expected = store.search(query, "raw", 10)
    state = copy.read_state()
    assert state is not None
    assert state.commit == 5
    assert build_graph(copy, Hold(copy), lambda: None) == ""
    with open_caption_store(folder, card, settings, number=2) as store:
        assert (store.count(), store.search(query, "raw", 10)) == (300, expected)
    assert taken(copy) <= taken(written) * 1.1


def test_a_child_that_fails_says_why(written: GenerationFolder) -> None:
    (written.index("images") / "shard" / "edge_config.json").write_bytes(b"\0")
    hold = Hold(written)
    assert "ended with status 1: " in build_graph(written, hold, lambda: None)


def test_a_child_is_ended_with_who_waits_for_it_and_keeps_what_it_writes_to(
    written: GenerationFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    plain = subprocess.Popen

    def sleeping(_: list[str], **others: Any) -> subprocess.Popen[bytes]:
        started.append(plain([sys.executable, "-c", "import time; time.sleep(60)"], **others))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", sleeping)
    hold = Hold(written)

    def stop() -> None:
        hold.close()  # as if this process had died
        with unread(written.path) as free:
            assert not free
        raise KeyboardInterrupt

    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        build_graph(written, hold, stop)
    assert time.monotonic() - before < 30
    assert started[0].poll() == -signal.SIGKILL
    with unread(written.path) as free:
        assert free


# On a server


def test_the_names_for_other_readers_follow_in_one_call(
    service: Service, folder: CollectionFolder, card: CollectionCard
) -> None:
    settings = service.settings(home=folder.path.parent.parent)
    [client] = connect(settings)

    def write(number: int, n: int) -> None:
        begin(folder, number, GenerationState(place=settings.qdrant_url))
        with (
            open_image_store(folder, card, settings, number=number, create=True),
            open_caption_store(folder, card, settings, number=number, create=True) as store,
        ):
            store.upsert(points(n))
        change_over(folder, number)

    # What is there from before there were generations stands in the way of the name.
    old = models.VectorParams(size=16, distance=models.Distance.COSINE)
    client.create_collection("mrag-noise-captions", vectors_config=old)
    client.create_collection("mrag-noise-captions-x", vectors_config=old)
    write(1, 3)
    point_aliases(settings, "noise", 1)
    assert client.count("mrag-noise-captions").count == 3
    reader = open_caption_store(folder, card, settings)
    write(2, 5)
    before = len(service.calls)
    point_aliases(settings, "noise", 2)
    assert service.calls[before:].count("UpdateAliases") == 1
    assert client.count("mrag-noise-captions").count == 5
    sweep(folder, settings)
    assert (reader.count(), numbers_on_server(settings, "noise")) == (3, {1, 2})
    reader.close()
    sweep(folder, settings)
    assert numbers_on_server(settings, "noise") == {2}
    with open_caption_store(folder, card, settings) as now:
        assert now.count() == 5
    names = {one.name for one in client.get_collections().collections}
    expected = {"mrag-noise-captions-000002", "mrag-noise-images-000002", "mrag-noise-captions-x"}
    assert names == expected
    client.close()


def test_what_a_server_has_and_no_folder_knows_of_goes_before_a_push(
    service: Service, folder: CollectionFolder, card: CollectionCard
) -> None:
    settings = service.settings(home=folder.path.parent.parent)
    begin(folder, 4, GenerationState(place=settings.qdrant_url))
    open_caption_store(folder, card, settings, number=4, create=True).close()
    (folder.index / "000004" / "generation.json").unlink()
    (folder.index / "000004").rmdir()
    assert next_number(folder, settings) == 5
    sweep_all(folder, settings)
    assert numbers_on_server(settings, "noise") == set()


def test_an_index_that_is_being_written_is_waited_for(folder: CollectionFolder) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    with writing(folder), pytest.raises(StoreLocked, match="wait until it has finished"):
        answering(folder, "")
    with pytest.raises(CollectionMissing, match="mrag push"):
        answering(folder, "")


def test_a_state_with_another_number_is_not_believed(folder: CollectionFolder) -> None:
    made = begin(folder, 1, GenerationState(commit=12, images=3))
    path = made.path / "generation.json"
    path.write_text(path.read_text().replace("12", "13", 1))
    assert made.read_state() is None
