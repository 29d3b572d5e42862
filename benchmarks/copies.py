"""Which copies of pictures are known again, what is taken for one, and how long it takes.

    python -m benchmarks.copies changes FOLDER ...
    python -m benchmarks.copies scale 20000 100000

`changes` makes copies of every picture in the folders and prints for each kind the share that the
sight finds, and the share whose CLIP vectors (the encoder of the settings) are more alike than
those of any two different pictures; then how many pairs of different pictures are taken for
copies. `scale` compares made-up sights, a tenth of them copies, in a real index: the CPU time of
the first run, of one after a hundred pictures more, and the peak of memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from time import process_time

import numpy as np
from PIL import Image, ImageEnhance

from corpus.sights import Sight, Sights
from engine.app import build_engine
from engine.collection import CollectionCard, CollectionFolder
from engine.images import SUFFIXES, open_picture
from engine.search.copies import CopiesKeeper
from engine.search.sight import Known, as_words, sight_of
from engine.settings import Settings, read_settings
from engine.store import open_image_store, picture_id
from engine.types import Encoder, ImagePoint, Vectors
from ingest.likeness import find_copies

Change = Callable[[Image.Image], Image.Image]
DIM, BATCH = 16, 32


def jpeg(quality: int) -> Change:
    """Saved anew."""

    def change(image: Image.Image) -> Image.Image:
        written = BytesIO()
        image.save(written, "JPEG", quality=quality)
        return Image.open(written).convert("RGB")

    return change


def scaled(by: float) -> Change:
    """Scaled, and saved anew."""
    return lambda image: jpeg(80)(
        image.resize((max(1, int(image.width * by)), max(1, int(image.height * by))))
    )


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """Without these shares of each side."""
    return lambda image: image.crop(
        (
            int(image.width * left),
            int(image.height * top),
            int(image.width * (1 - right)),
            int(image.height * (1 - bottom)),
        )
    )


def brightened(by: float) -> Change:
    """Lighter or darker."""
    return lambda image: ImageEnhance.Brightness(image).enhance(by)


def laid(how: Image.Transpose) -> Change:
    """Turned or mirrored."""
    return lambda image: image.transpose(how)


CHANGES: dict[str, Change] = {
    "JPEG quality 90": jpeg(90),
    "JPEG quality 60": jpeg(60),
    "JPEG quality 30": jpeg(30),
    "half the size": scaled(0.5),
    "a quarter of the size": scaled(0.25),
    "cropped by 5 %, all round": cropped(0.025, 0.025, 0.025, 0.025),
    "cropped by 5 %, on one side": cropped(0.05, 0, 0, 0),
    "cropped by 10 %, all round": cropped(0.05, 0.05, 0.05, 0.05),
    "brighter by 20 %": brightened(1.2),
    "darker by 30 %": brightened(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": laid(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90 degrees": laid(Image.Transpose.ROTATE_90),
    "turned by 2 degrees, cropped": lambda image: cropped(0.04, 0.04, 0.04, 0.04)(
        image.rotate(2, Image.Resampling.BICUBIC)
    ),
    "half the size, cropped, quality 60": lambda image: jpeg(60)(
        scaled(0.5)(cropped(0.025, 0.025, 0.025, 0.025)(image))
    ),
}


def changes(folders: list[Path]) -> None:
    """Print what is known again."""
    paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
    images = [open_picture(path).image for path in paths]
    settings = read_settings({})
    engine = build_engine(settings)
    encoder = engine.models.encoder(settings.models()[0])
    vectors = encoded(encoder, images)
    upper = np.triu_indices(len(images), 1)
    alike = float((vectors @ vectors.T)[upper].max())
    known = Known(as_words([sight_of(image) for image in images]))
    print(f"{len(images)} pictures; the most alike of two have a cosine of {alike:.3f}\n")
    print(f"{'copy':36} {'by sight':>8} {'by vector':>9}")
    for name, change in CHANGES.items():
        made = [change(image) for image in images]
        found = known.nearest(as_words([sight_of(image) for image in made]))
        cosines = (vectors * encoded(encoder, made)).sum(1)
        right = (found == np.arange(len(images))).mean()
        print(f"{name:36} {right:8.2f} {(cosines > alike).mean():9.2f}")
    print(f"\ndifferent pictures taken for copies: {len(images) - leading(images)}")
    engine.close()


def leading(images: list[Image.Image]) -> int:
    """How many pictures are copies of none before them."""
    known = Known(as_words([]))
    for image in images:
        words = as_words([sight_of(image)])
        if known.nearest(words)[0] < 0:
            known.add(words[0])
    return len(known)


def encoded(encoder: Encoder, images: list[Image.Image]) -> Vectors:
    """The vectors of pictures."""
    rest = iter(images)
    rows = [encoder.encode_images(batch) for batch in iter(lambda: list(islice(rest, BATCH)), [])]
    return np.concatenate(rows)


def scale(count: int) -> None:
    """Print the time and the memory of comparing so many pictures."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), qdrant_url="")
        folder = CollectionFolder(settings.home, "scale")
        card = CollectionCard("scale", "made-up", "made-up", DIM, "consensus")
        folder.write_card(card)
        with open_image_store(folder, card, settings, create=True) as images:
            first = add(folder, images.upsert, 0, count)
            spent = timed(lambda: find_copies(folder, images, settings))
            add(folder, images.upsert, count, 100)
            again = timed(lambda: find_copies(folder, images, settings))
        groups = len(CopiesKeeper(folder.copies).copies().groups)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        kept = folder.sights.stat().st_size / 2**20
        print(
            f"{count:7,} pictures: {spent:6.1f} s, 100 more {again:5.2f} s, {groups:,} groups of "
            f"{first:,} made, {peak:,.0f} MB at most, {kept:.0f} MB "
            "on disk"
        )


def add(
    folder: CollectionFolder, upsert: Callable[[list[ImagePoint]], None], start: int, count: int
) -> int:
    """Put pictures into the index and what they look like beside it; the number of copied ones."""
    draw = np.random.default_rng(start)
    copied = count // 10
    with Sights.open(folder.sights) as sights:
        for batch in batches(count, 1000):
            rows = draw.integers(0, 2**63, (len(batch), 8, 4), dtype=np.uint64)
            for at in range(1, len(batch), 10):
                rows[at] = rows[at - 1]
            ids = [picture_id(f"{start + number:064x}") for number in batch]
            sights.put({id_: Sight(row.tobytes(), 1) for id_, row in zip(ids, rows, strict=True)})
            upsert([point(start + number, draw) for number in batch])
    return copied


def point(number: int, draw: np.random.Generator) -> ImagePoint:
    """A picture of the index."""
    vector = draw.standard_normal(DIM).astype(np.float32)
    vector /= np.linalg.norm(vector)
    sha256 = f"{number:064x}"
    return ImagePoint(picture_id(sha256), str(number), str(number), sha256, 1, 1, vector, vector)


def batches(count: int, size: int) -> Iterator[range]:
    """The numbers up to a count, in parts."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def timed(work: Callable[[], object]) -> float:
    """How many seconds of a processor it takes."""
    started = process_time()
    work()
    return process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("changes", "scale"))
    parser.add_argument("given", nargs="+")
    asked = parser.parse_args()
    if asked.what == "changes":
        changes([Path(folder) for folder in asked.given])
    else:
        for count in asked.given:
            scale(int(count))


if __name__ == "__main__":
    main()
