"""Fills, reads and pushes in processes that damage or a full disk may end, asked over stdin.

A line in is a JSON list of what to do and a home; a line out is a JSON list of how the process
that did it ended, and what it answered. It forks for each, so that nothing is imported twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.collection import CollectionFolder
from engine.disk import refused
from engine.errors import MragError
from engine.generation import open_generation
from engine.settings import Settings
from engine.store import embedded
from ingest.pipeline import ingest
from ingest.push import push
from ingest.verify import verify
from tests.worlds import PixelEncoder, record


def read(home: Path) -> str:
    """A digest of all that the indexes hold and find."""
    folder = CollectionFolder(home, "noise")
    now = open_generation(folder, folder.read_card(), _settings(home))
    found = hashlib.sha256()
    queries = np.eye(now.alignment.dim, dtype=np.float32)[:4]
    for image in now.images.get(list(now.images.ids()), with_vectors=True):
        found.update(repr((image.id, image.uri, image.captions, sorted(image.payload))).encode())
        found.update(np.asarray(image.vector, np.float32).tobytes())
    for caption in now.captions.get(list(now.captions.ids()), with_vectors=True):
        found.update(repr((caption.id, caption.text, caption.source)).encode())
        found.update(np.asarray(caption.vector, np.float32).tobytes())
    for space in ("raw", "mapped"):
        for hits in now.captions.search(queries, space, 5):
            found.update(repr([hit.id for hit in hits]).encode())
    found.update(now.alignment.map_images(queries).tobytes())
    now.close()
    return found.hexdigest()


def write(home: Path) -> str:
    """Push; what was mended."""
    folder = CollectionFolder(home, "noise")
    return push(folder, folder.read_card(), _settings(home)).mended


def look(home: Path) -> str:
    """Verify; what is wrong."""
    folder = CollectionFolder(home, "noise")
    findings = verify(folder, folder.read_card(), _settings(home))
    return "; ".join(f"{one.detail} ({one.remedy})" for one in findings if not one.ok)


def fill(home: Path) -> str:
    """Ingest the pictures that lie beside the home's disk."""
    pictures = sorted((home.parent.parent / "pictures").glob("*.png"))
    report = ingest(
        [record(path, [f"a caption of {path.name}"]) for path in pictures],
        name="noise",
        encoder=PixelEncoder(),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=_settings(home),
    )
    return report.text


WAYS: dict[str, Callable[[Path], str]] = {"read": read, "push": write, "verify": look, "fill": fill}


assert embedded  # imported once, before the first fork


def _settings(home: Path) -> Settings:
    return Settings(home=home, qdrant_url="")


def _apart(way: str, home: Path) -> tuple[int, str]:
    """How a process ended that did this, and the answer; "!" before the words of an error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = WAYS[way](home)
        except MragError as error:
            answer = f"!{error}"
        except OSError as error:  # as the command line does
            answer = f"!{refused(Path(error.filename or home), error)}"
        os.write(writer, answer.encode()[:60_000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        answer = told.read().decode()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), answer


def main() -> None:
    """Do what is asked, until nothing is asked any more."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        way, home = json.loads(line)
        sys.stdout.write(json.dumps(_apart(way, Path(home))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
