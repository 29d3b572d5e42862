"""What filters, facets and browsing by date cost in a large store, and reading what files say.

    python -m benchmarks.filters              100,000 pictures of 512 dimensions
    python -m benchmarks.filters --n 20000 --graph

Data: vectors as in `benchmarks.store`, captions of words that are as common as words are, 40
cameras, 500 places, days over twenty years. A search is in the space `mapped`, for 24 pictures,
under the filter that its row names; `kept` are the pictures that satisfy it. The store is searched
exactly unless --graph has its graph built, which takes a minute and more. Times are of the
processor, all threads together, so that other work on the machine does not count.

Reading: a JPEG of a 12-megapixel camera with EXIF, XMP and IPTC, opened with its pixels as an
ingest does, and without them as where only a sidecar has changed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from rich.console import Console
from rich.table import Table

from benchmarks.store import CENTRES, around
from engine.collection import CollectionCard
from engine.images import open_picture, read_facts
from engine.metadata.reading import facts_of
from engine.store import ImageStore, picture_id
from engine.store.embedded import EdgeIndex
from engine.store.image_store import image_spec
from engine.types import Filters, ImagePoint, Metadata, Near, Vectors

PAGE, QUERIES, READS = 24, 30, 30
FIRST_DAY = datetime(2005, 1, 1)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmp:Rating="4"><dc:subject><rdf:Bag>%s</rdf:Bag></dc:subject></rdf:Description></rdf:RDF>'
    b"</x:xmpmeta>"
) % b"".join(b"<rdf:li>keyword %d</rdf:li>" % number for number in range(12))

FILTERS: dict[str, Filters] = {
    "none": Filters(),
    "camera": Filters(cameras=frozenset({"FIRM CAMERA 7"})),
    "place": Filters(places=frozenset({"town 17"})),
    "country, half of all": Filters(places=frozenset({"country 1"})),
    "near, 100 km": Filters(near=Near(40.0, 10.0, 100.0)),
    "a year": Filters(taken_from=datetime(2015, 1, 1), taken_until=datetime(2015, 12, 31)),
    "4 stars": Filters(least_rating=4),
    "no caption": Filters(has_caption=False),
    "a common phrase": Filters(phrases=("word1 word1",)),
    "a rare phrase": Filters(phrases=("word40 word2 word1",)),
    "camera, year and country": Filters(
        cameras=frozenset({"firm camera 7"}),
        places=frozenset({"country 1"}),
        taken_from=datetime(2015, 1, 1),
        taken_until=datetime(2015, 12, 31),
    ),
}


def fill(store: ImageStore, n: int, centres: Vectors, chance: np.random.Generator) -> None:
    """Write the pictures."""
    raw = around(centres, n, chance)
    spoken = chance.zipf(1.3, (n, 9)) % 300
    drawn = chance.integers(0, 2**31, (n, 4))
    for start in range(0, n, 1000):
        rows = range(start, min(start + 1000, n))
        store.upsert([_point(i, raw[i], spoken[i], drawn[i].tolist()) for i in rows])


def _point(i: int, raw: Vectors, spoken: Vectors, drawn: list[int]) -> ImagePoint:
    camera, town, day, stars = drawn[0] % 40, drawn[1] % 500, drawn[2] % 7300, drawn[3] % 6
    said = " ".join(f"word{j}" for j in spoken)
    return ImagePoint(
        id=picture_id(f"{i:064x}"),
        image_id=str(i),
        uri=f"{i}.jpg",
        sha256=f"{i:064x}",
        width=1,
        height=1,
        raw=raw,
        mapped=raw,
        captions=(said,) if i % 10 else (),
        taken_at=FIRST_DAY + timedelta(days=day) if i % 20 else None,
        tags=(f"tag {town % 50}",),
        metadata=Metadata(
            camera=f"Firm Camera {camera}",
            lens=f"Lens {camera % 9}",
            latitude=35 + town / 50,
            longitude=5 + camera / 4,
            rating=stars or None,
        ),
        places=(f"Town {town}", f"Region {town % 30}", f"Country {town % 2}"),
    )


def median_ms(ask: Callable[[int], object], times: int = QUERIES) -> float:
    """The median processor time of asking so often, the first time apart."""
    taken = []
    for turn in range(times + 1):
        start = time.process_time()
        ask(turn % times)
        taken.append(time.process_time() - start)
    return float(np.median(taken[1:])) * 1000


def _times(store: ImageStore, queries: Vectors, filters: Filters) -> tuple[float, float, float]:
    """Of a search, of the facets and of the newest pictures."""
    return (
        median_ms(lambda at: store.search("mapped", PAGE, mapped=queries[at], filters=filters)),
        median_ms(lambda _: store.facets(filters), 5),
        median_ms(lambda _: store.browse(filters, k=PAGE), 5),
    )


def filtered(store: ImageStore, queries: Vectors) -> Table:
    """A search, the facets and the newest pictures under each filter."""
    table = Table(title=f"{store.count():,} pictures of {queries.shape[1]} dimensions, ms")
    for column in ("filter", "kept", "search", "facets", "newest, first page"):
        table.add_column(column)
    for name, filters in FILTERS.items():
        times = (f"{ms:.1f}" for ms in _times(store, queries, filters))
        table.add_row(name, f"{store.count(filters):,}", *times)
    deep = median_ms(lambda _: store.browse(k=PAGE, offset=store.count() // 2), 5)
    table.caption = f"the newest from the middle of all on: {deep:.1f} ms"
    return table


def reading(folder: Path) -> Table:
    """What it takes to read what a file says."""
    path = folder / "photo.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Firm", "Camera 7"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:05:01 12:30:00"
    place = {1: "N", 2: (38.0, 42.0, 40.32), 3: "W", 4: (9.0, 7.0, 39.72)}
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(place)
    noise = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((4000, 3000)).save(path, exif=exif, xmp=XMP)
    table = Table(title=f"a JPEG of {path.stat().st_size / 2**20:.1f} MiB, ms")
    table.add_column("what")
    table.add_column("ms")

    def said(_: int) -> None:
        with Image.open(path) as image:
            facts_of(image, image.getexif())

    def header(_: int) -> None:
        with Image.open(path) as image:
            image.getexif()

    table.add_row("opened with its pixels", f"{median_ms(lambda _: open_picture(path), 5):.2f}")
    table.add_row(
        "of that, what it says", f"{median_ms(said, READS) - median_ms(header, READS):.2f}"
    )
    table.add_row("without its pixels", f"{median_ms(lambda _: read_facts(path), READS):.2f}")
    return table


def main() -> None:
    """Fill a store and ask it under each filter; read a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=100_000, help="pictures")
    parser.add_argument("--dim", type=int, default=512, help="dimensions")
    parser.add_argument("--graph", action="store_true", help="build the graph first")
    options = parser.parse_args()
    chance = np.random.default_rng(0)
    centres = chance.standard_normal((CENTRES, options.dim)).astype(np.float32)
    card = CollectionCard("bench", "-", "bench", options.dim, "-")
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as folder:
        console.print(reading(Path(folder)))
        index = EdgeIndex.open_or_make(Path(folder, "images"), image_spec(card))
        with ImageStore(index) as store:
            start = time.process_time()
            fill(store, options.n, centres, chance)
            console.print(f"written in {time.process_time() - start:.1f} s")
            if options.graph:
                store.optimize()
            console.print(filtered(store, around(centres, QUERIES, chance)))


if __name__ == "__main__":
    main()
