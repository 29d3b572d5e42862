"""Paging where it is used: 25,000 pictures, searched by a graph, which answers by the limit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import qdrant_edge as edge

from engine.collection import CollectionCard
from engine.store import ImageStore, picture_id
from engine.store.edge_folder import SHARD
from engine.store.embedded import EdgeIndex
from engine.store.image_store import image_spec
from engine.store.interface import IndexSpec, VectorIndex
from engine.store.paging import RANKED
from engine.types import ImagePoint, SearchSpace, Vectors

COUNT = 25_000
PAGE, HITS = 24, 960
WORDS = "word1 word40"
SPACES: tuple[SearchSpace, ...] = ("raw", "mapped", "caption", "words", "fused")
_GRAPH_S = 600
_CENTRES = 500


class Backend(Protocol):
    def open(self, spec: IndexSpec, *, create: bool = True) -> VectorIndex: ...


@dataclass(frozen=True)
class Large:
    """A store, its index, and a query of its kind."""

    store: ImageStore
    index: VectorIndex
    query: Vectors

    def page(
        self, space: SearchSpace, k: int, offset: int = 0, diversity: float = 0.0
    ) -> list[str]:
        query = self.query[0]
        hits = self.store.search(
            space, k, raw=query, mapped=query, words=WORDS, offset=offset, diversity=diversity
        )
        return [hit.id for hit in hits]

    def pages(self, space: SearchSpace, k: int, end: int, diversity: float = 0.0) -> list[str]:
        pages = [self.page(space, k, offset, diversity) for offset in range(0, end, k)]
        return [key for page in pages for key in page]

    def ranked(self, name: str, depth: int, *, exact: bool = False) -> list[str]:
        [found] = self.index.ranked({name: self.query[0]}, "", depth, exact=exact)
        return [key for key, _ in found]


def around(centres: Vectors, count: int, chance: np.random.Generator) -> Vectors:
    """Unit rows in clusters, as captions and pictures lie."""
    rows = chance.standard_normal((count, centres.shape[1]), dtype=np.float32) * 0.7
    rows += centres[chance.integers(len(centres), size=count)]
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def filled(index: VectorIndex) -> Large:
    chance = np.random.default_rng(0)
    dim = index.spec.dim
    centres = chance.standard_normal((_CENTRES, dim), dtype=np.float32)
    raw, mapped, caption = (around(centres, COUNT, chance) for _ in range(3))
    spoken = chance.zipf(1.3, (COUNT, 9)) % 300
    store = ImageStore(index)
    for start in range(0, COUNT, 1000):
        store.upsert(
            [
                ImagePoint(
                    id=picture_id(f"{i:064x}"),
                    image_id=str(i),
                    uri=f"{i}.jpg",
                    sha256=f"{i:064x}",
                    width=1,
                    height=1,
                    raw=raw[i],
                    mapped=mapped[i],
                    caption=caption[i],
                    captions=(" ".join(f"word{j}" for j in spoken[i]),),
                )
                for i in range(start, start + 1000)
            ]
        )
    return Large(store, index, around(centres, 1, chance))


def spec(name: str, dim: int) -> IndexSpec:
    return image_spec(CollectionCard(name, "x/y", "encoder-a", dim, "consensus"))


def build_small_graph(folder: Path, wanted: IndexSpec) -> None:
    """Have a graph built of vectors so short that they would be searched one by one."""
    (folder / "seal.json").unlink(missing_ok=True)  # what follows is done behind its back
    params = edge.EdgeVectorParams(
        size=wanted.dim,
        distance=edge.Distance.Cosine,
        datatype=edge.VectorStorageDatatype.Float16,
    )
    config = edge.EdgeConfig(
        vectors=dict.fromkeys(wanted.vectors, params),
        sparse_vectors={"bm25": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=edge.HnswIndexConfig(m=4, ef_construct=16, full_scan_threshold=1),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=100),
    )
    shard = edge.EdgeShard.load(str(folder / SHARD), config)
    shard.optimize()
    assert shard.info().indexed_vectors_count >= COUNT * len(wanted.vectors)
    shard.flush()
    shard.close()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    folder, wanted = tmp_path_factory.mktemp("large") / "images", spec("large", 16)
    large = filled(EdgeIndex.open_or_make(folder, wanted))
    large.store.flush()
    large.store.close()
    build_small_graph(folder, wanted)
    index = EdgeIndex(folder, wanted)
    with ImageStore(index) as store:
        yield Large(store, index, large.query)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_graph_is_one(graph: Large) -> None:
    """It misses points, and others for another limit: what the pages must not show."""
    assert graph.ranked("mapped", RANKED) != graph.ranked("mapped", RANKED, exact=True)
    assert graph.ranked("mapped", HITS)[:RANKED] != graph.ranked("mapped", RANKED)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("space", SPACES)
def test_pages_are_cut_from_one_ranking(graph: Large, space: SearchSpace) -> None:
    found = graph.pages(space, PAGE, HITS)
    assert len(set(found)) == HITS
    assert found == graph.page(space, HITS)


@pytest.mark.slow
@pytest.mark.nightly
def test_diverse_pages_are_cut_from_one_ranking(graph: Large) -> None:
    found = graph.pages("mapped", PAGE, HITS, diversity=0.5)
    assert len(set(found)) == HITS
    assert found == graph.page("mapped", HITS, diversity=0.5)
    assert found != graph.page("mapped", HITS)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("space", ["mapped", "fused"])
def test_pages_beyond_the_depth_go_on(graph: Large, space: SearchSpace) -> None:
    end = 5000
    found = graph.pages(space, 250, end)
    assert len(set(found)) == end
    assert found[:HITS] == graph.page(space, HITS)


@pytest.mark.slow
@pytest.mark.nightly
def test_every_picture_is_on_some_page_though_the_graph_misses_it(graph: Large) -> None:
    assert len(set(graph.page("mapped", COUNT + 1))) == COUNT


@pytest.mark.slow
def test_pages_at_the_size_of_real_vectors(
    backend: Backend, request: pytest.FixtureRequest, collection: str
) -> None:
    if "embedded" not in request.node.name and "server" not in request.node.name:
        pytest.skip("searches all points one by one")
    index = backend.open(spec(collection, 512))
    large = filled(index)
    index.optimize()
    until = time.monotonic() + _GRAPH_S
    while large.ranked("mapped", RANKED) == large.ranked("mapped", RANKED, exact=True):
        assert time.monotonic() < until, "no graph has been built"
        time.sleep(1)
    for space in SPACES:
        found = large.pages(space, PAGE, HITS)
        assert len(set(found)) == HITS, space
        assert found == large.page(space, HITS), space
    found = large.pages("mapped", PAGE, HITS, diversity=0.5)
    assert len(set(found)) == HITS
    large.store.close()
