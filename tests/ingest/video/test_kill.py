"""An ingest of a video that is killed in the middle, by the system: the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, embed
from ingest.readers import open_source
from tests.films import film
from tests.ingest.video.test_videos import spans
from tests.worlds import PixelEncoder

ROOT = Path(__file__).parents[3]
SHOTS, SHARD = 16, 3

CHILD = """
import sys
from pathlib import Path
from engine.collection import CollectionFolder
from ingest.embed import EmbedOptions, embed
from ingest.readers import open_source
from tests.worlds import PixelEncoder

class Told(PixelEncoder):
    def encode_images(self, images):
        found = super().encode_images(images)
        print(self.pictures, flush=True)
        sys.stdin.readline()
        return found

folder = CollectionFolder(Path(sys.argv[1]), "film")
folder.embeddings.mkdir(parents=True, exist_ok=True)
options = EmbedOptions(batch_size=3, workers=1, shard_size=3)
embed(open_source(Path(sys.argv[2])), Told(), folder, options)
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 4, 9, 13])
def test_a_killed_ingest_goes_on_and_repeats_one_shard_at_most(
    tmp_path: Path, batches: int
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    film(films / "long.mp4", *range(SHOTS), seconds=1.5)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "home"), str(films)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(batches - 1):
        assert child.stdout.readline()
        child.stdin.write("\n")
        child.stdin.flush()
    assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    folder = CollectionFolder(tmp_path / "home", "film")
    kept = len(spans(folder))
    encoder = PixelEncoder()
    options = EmbedOptions(batch_size=3, workers=1, shard_size=SHARD)
    report = embed(open_source(films), encoder, folder, options)
    assert (report.embedded, report.unchanged) == (SHOTS - kept, kept)
    assert batches - kept <= SHARD + 1
    assert [start for _, start, _ in spans(folder)] == pytest.approx(
        [1.5 * at for at in range(SHOTS)], abs=0.11
    )
    again = embed(open_source(films), encoder, folder, options)
    assert (again.embedded, again.unchanged) == (0, SHOTS)
