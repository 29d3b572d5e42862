"""The embedded index: locks, threads, killed processes and damaged folders."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine.collection import CollectionCard, CollectionFolder
from engine.errors import (
    CollectionMissing,
    Damaged,
    IncompatibleIndex,
    StoreLocked,
    StoreUnavailable,
)
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    caption_id,
    free_indexes,
    open_caption_store,
    open_image_store,
)
from engine.store.caption_store import caption_spec
from engine.store.embedded import EdgeIndex
from engine.store.generations import GenerationState, begin
from engine.store.seal import Seal
from engine.types import CaptionPoint

ROOT = Path(__file__).parents[3]
DIM = 16

OPEN_AND_WAIT = """
import sys, time
from pathlib import Path
from engine.collection import CollectionCard
from engine.store.caption_store import caption_spec
from engine.store.embedded import EdgeIndex
card = CollectionCard(**eval(sys.argv[2]))
index = EdgeIndex.open_or_make(Path(sys.argv[1]), caption_spec(card))
print("open", flush=True)
time.sleep(60)
"""

WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
import numpy as np
from engine.collection import CollectionCard
from engine.store import CaptionStore, caption_id
from engine.store.caption_store import caption_spec
from engine.store.embedded import EdgeIndex
from engine.types import CaptionPoint
card = CollectionCard(**eval(sys.argv[2]))
store = CaptionStore(EdgeIndex.open_or_make(Path(sys.argv[1]), caption_spec(card)))
row = np.ones(card.dim, np.float32)
for start in range(0, 100_000, 100):
    texts = [f"caption {i}" for i in range(start, start + 100)]
    store.upsert([CaptionPoint(caption_id("", t, "human"), t, row, row) for t in texts])
    if start % 1000 == 900:
        store.flush()
    print(start + 100, flush=True)
"""


def points(n: int) -> list[CaptionPoint]:
    rows = np.random.default_rng(0).standard_normal((n, DIM)).astype(np.float32)
    texts = [f"caption {i}" for i in range(n)]
    return [
        CaptionPoint(caption_id("", text, "human"), text, row, row)
        for text, row in zip(texts, rows, strict=True)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index" / "captions"


def make(path: Path, card: CollectionCard, n: int = 0) -> None:
    with CaptionStore(EdgeIndex.open_or_make(path, caption_spec(card))) as store:
        store.upsert(points(n))


@contextmanager
def running(script: str, path: Path, card: CollectionCard) -> Iterator[subprocess.Popen[str]]:
    """A Python process with the script; killed at the end."""
    command = [sys.executable, "-c", script, str(path), repr(vars(card))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_another_process_is_told_who_holds_the_lock(path: Path, card: CollectionCard) -> None:
    with running(OPEN_AND_WAIT, path, card) as process:
        assert first_line(process) == "open"
        with pytest.raises(StoreUnavailable, match="another mrag process") as caught:
            EdgeIndex(path, caption_spec(card), lock_patience_s=0.1)
        assert str(path) in str(caught.value)
        assert "MRAG_QDRANT_URL" in str(caught.value)


def test_a_lock_that_goes_away_is_waited_for(path: Path, card: CollectionCard) -> None:
    with running(OPEN_AND_WAIT, path, card) as process:
        assert first_line(process) == "open"
        threading.Timer(0.3, process.kill).start()
        EdgeIndex(path, caption_spec(card), lock_patience_s=20).close()


def test_who_waits_for_one_index_keeps_nobody_from_another(
    path: Path, card: CollectionCard, tmp_path: Path
) -> None:
    spec = caption_spec(card)
    with running(OPEN_AND_WAIT, path, card) as process, ThreadPoolExecutor(1) as pool:
        assert first_line(process) == "open"
        waiting = pool.submit(EdgeIndex, path, spec, lock_patience_s=20)
        assert not wait([waiting], timeout=0.2).done
        EdgeIndex.open_or_make(tmp_path / "other", spec).close()
        process.kill()
        waiting.result(30).close()


def test_what_another_process_has_open_is_not_free_to_delete(
    card: CollectionCard, tmp_path: Path
) -> None:
    folder = CollectionFolder(tmp_path, card.name)
    settings = Settings(home=tmp_path, qdrant_url="")
    generation = begin(folder, 1, GenerationState())
    with running(OPEN_AND_WAIT, generation.index("captions"), card) as process:
        assert first_line(process) == "open"
        with pytest.raises(StoreLocked, match="another mrag process"):
            free_indexes(folder, settings)
    free_indexes(folder, settings)
    (generation.index("captions") / "index.json").write_text("damaged")
    generation.index("images").mkdir()
    free_indexes(folder, settings)  # a damaged one may go too


def test_an_index_that_is_closed_during_a_call_is_not_called_damaged(
    path: Path, card: CollectionCard
) -> None:
    make(path, card, 3)
    index = EdgeIndex(path, caption_spec(card))

    make(path.with_name("other"), card)
    other = EdgeIndex(path.with_name("other"), caption_spec(card))
    closed = other._shard
    other.close()
    with ThreadPoolExecutor(1) as another:

        def fail_when_closed() -> None:
            another.submit(index.close)
            while not index._closed:
                time.sleep(0.001)
            closed.flush()  # fails as Edge does

        with pytest.raises(StoreUnavailable, match="has been closed; open it again"):
            index._call(fail_when_closed)


class PanicException(BaseException):
    """As pyo3's, which is no Exception."""


def test_a_panic_of_edge_is_damage(path: Path, card: CollectionCard) -> None:
    make(path, card, 3)
    index = EdgeIndex(path, caption_spec(card))

    def panic() -> None:
        raise PanicException("index out of bounds")

    with pytest.raises(Damaged, match=r"out of bounds; write it again .* --rebuild"):
        index._call(panic)
    index.close()


def test_an_index_that_fits_its_seal_but_for_a_byte_is_not_opened(
    path: Path, card: CollectionCard
) -> None:
    with CaptionStore(EdgeIndex.open_or_make(path, caption_spec(card))) as store:
        store.upsert(points(5))
        store.flush()
    (chunk,) = path.glob("shard/segments/*/vector_storage-raw/vectors/chunk_0.mmap")
    with chunk.open("r+b") as file:
        file.write(b"\x01")
    with pytest.raises(Damaged, match=r"chunk_0\.mmap is not as it was written"):
        EdgeIndex(path, caption_spec(card))


def test_the_lock_of_a_killed_process_is_gone(path: Path, card: CollectionCard) -> None:
    with running(OPEN_AND_WAIT, path, card) as process:
        assert first_line(process) == "open"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        EdgeIndex(path, caption_spec(card), lock_patience_s=0.1).close()


def test_acknowledged_points_survive_a_kill(path: Path, card: CollectionCard) -> None:
    with running(WRITE_UNTIL_KILLED, path, card) as process:
        acknowledged = 0
        while acknowledged < 2500:
            acknowledged = int(first_line(process))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    with CaptionStore(EdgeIndex(path, caption_spec(card))) as store:
        stored = set(store.ids())
        expected = {caption_id("", f"caption {i}", "human") for i in range(acknowledged)}
        assert expected <= stored
        assert store.count() == len(stored)
        [last] = store.get([caption_id("", "caption 2499", "human")])
        assert last.text == "caption 2499"


def test_two_stores_of_one_process_share_a_folder(path: Path, card: CollectionCard) -> None:
    spec = caption_spec(card)
    first = CaptionStore(EdgeIndex.open_or_make(path, spec))
    second = CaptionStore(EdgeIndex.open_or_make(path, spec))
    first.upsert(points(3))
    assert second.count() == 3
    first.close()
    first.close()
    assert second.count() == 3
    with pytest.raises(StoreUnavailable, match="closed"):
        first.count()
    second.close()
    with CaptionStore(EdgeIndex(path, spec)) as third:
        assert third.count() == 3


def test_a_store_that_is_dropped_lets_go_of_its_folder(path: Path, card: CollectionCard) -> None:
    EdgeIndex.open_or_make(path, caption_spec(card))
    gc.collect()
    with running(OPEN_AND_WAIT, path, card) as process:
        assert first_line(process) == "open"


def test_threads_search_while_another_writes(path: Path, card: CollectionCard) -> None:
    store = CaptionStore(EdgeIndex.open_or_make(path, caption_spec(card)))
    written = points(3000)
    store.upsert(written[:500])
    done = threading.Event()

    def search(number: int) -> int:
        rounds = 0
        while not done.is_set() or rounds == 0:
            point = written[number * 100]
            [hits] = store.search(point.raw[None], "raw", 3)
            assert hits[0].id == point.id
            assert len(hits) == 3
            rounds += 1
        return rounds

    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(search, number) for number in range(4)]
        try:
            for start in range(500, 3000, 250):
                store.upsert(written[start : start + 250])
        finally:
            done.set()
        assert all(future.result(timeout=30) >= 1 for future in searches)
    assert store.count() == 3000
    store.close()


def test_opening_without_create_makes_nothing(tmp_path: Path, card: CollectionCard) -> None:
    folder = CollectionFolder(tmp_path / "home", card.name)
    for open_store in (open_caption_store, open_image_store):
        with pytest.raises(CollectionMissing):
            open_store(folder, card, Settings())
    assert list(tmp_path.iterdir()) == []


def test_both_stores_of_a_collection_lie_in_its_folder(
    tmp_path: Path, card: CollectionCard
) -> None:
    folder = CollectionFolder(tmp_path, card.name)
    with (
        open_caption_store(folder, card, Settings(), create=True),
        open_image_store(folder, card, Settings(), create=True),
    ):
        assert sorted(path.name for path in folder.index.glob("*/*/")) == ["captions", "images"]


def test_what_a_killed_creation_left_is_made_anew(path: Path, card: CollectionCard) -> None:
    make(path, card, 1)
    (path / "index.json").unlink()  # it is written last
    shutil.rmtree(next((path / "shard" / "segments").iterdir()))
    with pytest.raises(Damaged, match=r"index\.json"):
        EdgeIndex(path, caption_spec(card))
    make(path, card, 3)
    with CaptionStore(EdgeIndex(path, caption_spec(card))) as store:
        assert store.count() == 3


@pytest.mark.parametrize(
    "damage", ["index.json", "shard", "shard/segments", "shard/edge_config.json", "segment"]
)
def test_damage_is_named_with_the_remedy(path: Path, card: CollectionCard, damage: str) -> None:
    make(path, card, 5)
    if damage == "segment":
        [segment] = (path / "shard" / "segments").iterdir()
        (segment / "segment.json").write_bytes(b"\0")
    elif (path / damage).is_dir():
        shutil.rmtree(path / damage)
    else:
        (path / damage).write_bytes(b"\0")
    with pytest.raises(StoreUnavailable, match=r"mrag push .* --rebuild") as caught:
        EdgeIndex(path, caption_spec(card))
    assert str(path) in str(caught.value)
    assert f"mrag push {card.name}" in str(caught.value)


def test_a_folder_of_an_unknown_maker_is_refused(path: Path, card: CollectionCard) -> None:
    make(path, card)
    (path / "index.json").write_text(json.dumps(["something"]), encoding="utf-8")
    with pytest.raises(IncompatibleIndex, match="mrag did not make it"):
        EdgeIndex(path, caption_spec(card))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, card: CollectionCard) -> None:
    (tmp_path / "index").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        EdgeIndex.open_or_make(tmp_path / "index" / "captions", caption_spec(card))


def test_an_index_is_closed_when_what_other_threads_read_is_read(
    path: Path, card: CollectionCard
) -> None:
    """Edge refuses to be closed while points are read; those who come later are told."""
    make(path, card, 5000)
    ids = [point.id for point in points(2000)]
    for _ in range(20):
        store = CaptionStore(EdgeIndex(path, caption_spec(card)))
        begun = threading.Barrier(5)

        def search(store: CaptionStore = store, begun: threading.Barrier = begun) -> str:
            begun.wait()
            while True:
                try:
                    store.get(ids)
                except StoreUnavailable as error:
                    return str(error)

        with ThreadPoolExecutor(4) as sessions:
            told = [sessions.submit(search) for _ in range(4)]
            begun.wait()
            time.sleep(0.01)  # so that they are in the middle of it, mostly
            store.close()
        assert all("has been closed; open it again" in one.result() for one in told)


def test_a_kill_between_seal_and_close_is_no_damage(path: Path, card: CollectionCard) -> None:
    """Closing takes journals away that were sealed; a later seal is not forgiven that."""
    make(path, card, 10)
    journal = path / "shard" / "journal.dat"
    for settled, closed in ((False, False), (True, False), (False, True)):
        journal.touch()
        Seal.of(path / "shard", settled=settled, closed=closed).write(path / "seal.json")
        journal.unlink()
        if settled or closed:
            with pytest.raises(Damaged, match=r"journal\.dat is gone"):
                EdgeIndex(path, caption_spec(card))
        else:
            EdgeIndex(path, caption_spec(card)).close()


def test_importing_the_stores_is_light() -> None:
    heavy = "torch", "transformers", "qdrant_client", "qdrant_edge", "grpc"
    script = f"import sys, engine.store; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
