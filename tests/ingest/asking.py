"""Has something done with a home in a process of its own, which nothing may end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Ask = Callable[[str, Path], str]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """What `index_child` answers; "!" before the words of an error."""
    command = [sys.executable, "-m", "tests.ingest.index_child"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told, asked = child.stdout, child.stdin

        def asking(way: str, home: Path) -> str:
            asked.write(json.dumps([way, str(home)]) + "\n")
            asked.flush()
            ended, answer = json.loads(told.readline())
            assert ended == 0, f"{way} ended the process with {ended}"
            return str(answer)

        yield asking
        asked.close()
