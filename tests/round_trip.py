"""One round through the server's doors, as a stranger makes it: `python -m tests.round_trip HOME`.

HOME holds what `mrag demo` makes. Ends with 0 where page, API, client and terminal gave one answer,
and the server left nothing behind when it was told to end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

from benchmarks.served_app import ROOT, environment, served_app
from engine.settings import SAMPLE_PACK
from mrag_client.answers import NamedPicture
from mrag_client.client import Client
from mrag_client.models import CaptionOptions, Description, SearchOptions
from mrag_client.presence import server_file

WORDS = "two cats on the beach"
PATIENCE_S = 120
"""For a first answer, which models are loaded for: a bound for what hangs."""

PICTURE = SAMPLE_PACK / "plain" / "images" / "351.webp"


def main(home: Path) -> None:
    with served_app(home) as served:
        page = httpx.get(f"{served.address}/search", timeout=PATIENCE_S)
        assert "<title>" in page.raise_for_status().text
        asked = {"text": WORDS, "collection": "plain", "k": "3"}
        plainly = httpx.get(f"{served.address}/api/v1/search", params=asked, timeout=PATIENCE_S)
        plainly.raise_for_status()
        found = [hit["id"] for hit in plainly.json()["results"][0]["hits"]]
        assert len(found) == 3
        with Client.of_home(home) as client:
            assert [one.collection for one in client.collections()] == ["plain", "postcards"]
            (answer,) = client.search(SearchOptions(text=WORDS, k=3), collection="plain")
            assert [hit.id for hit in answer.hits] == found
            given = NamedPicture(PICTURE.name, PICTURE.read_bytes())
            (told,) = client.caption([given], CaptionOptions(), collection="plain")
            assert isinstance(told, Description), told
            assert told.caption
        assert [hit["id"] for hit in in_the_terminal(home)] == found
        assert server_file(home).is_file()
    assert not server_file(home).exists()


def in_the_terminal(home: Path) -> list[dict[str, str]]:
    """What `mrag search` finds; it is refused where it does not go through the server."""
    command = [sys.executable, "-m", "mrag", "search", WORDS, "-c", "plain", "-k", "3", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    hits: list[dict[str, str]] = json.loads(done.stdout)["hits"]
    return hits


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.write("page, API, client and terminal answer alike\n")
