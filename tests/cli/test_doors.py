"""Commands through the server of a home, and without one: the same answers, texts and codes."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from api.app import api_routes, build_api, close_api
from cli.doors import answering, served
from cli.mcp import TerminalDoor
from engine.app import build_engine
from engine.errors import StoreLocked
from engine.search.thumbnails import Thumbnails
from engine.settings import Settings
from ingest.jobs.background import Jobs
from mrag_client import version
from mrag_client.client import Client
from mrag_client.models import SearchOptions
from mrag_client.presence import Presence, server_file
from service.access.visitor import Visitor
from tests.api.conftest import As
from tests.cli.conftest import PACK, ROOT, Done, Run
from tests.films import film

HOME = Visitor("this machine", "admin", "home")
TIMES = re.compile(
    r'"\w+_ms": \{[^}]*|"(seconds|ms)": [0-9.e-]+|\d+ ms:.*'
    r"| +[\d.]+ ms  |\(\w+ [\d.]+, .*"
)


@dataclass(frozen=True)
class Running:
    """A server over a home, and what it was asked."""

    home: Path
    jobs: Jobs
    presence: Presence
    asked: list[str]


class Noting:
    """Notes which paths are asked for."""

    def __init__(self, app: Any, asked: list[str]) -> None:
        self._app, self._asked = app, asked

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self._asked.append(scope["path"])
        await self._app(scope, receive, send)


@contextmanager
def running(home: Path) -> Iterator[Running]:
    """A real server over a home in a thread, with its file; its engine ends with it."""
    settings = Settings(home=home, profile="sample", device="cpu")
    engine = build_engine(settings)
    jobs = Jobs(engine)
    thumbnails = Thumbnails(home / "thumbnails", settings.limits, max_bytes=2**20, workers=1)
    api = build_api(engine, jobs, thumbnails)
    asked: list[str] = []
    between = [Middleware(Noting, asked=asked), Middleware(As, visitor=HOME)]
    app = Starlette(routes=api_routes(api), middleware=between)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        encoder, generator = settings.models()
        presence = Presence(
            address=f"http://127.0.0.1:{listening.getsockname()[1]}",
            token="t",
            pid=os.getpid(),
            version=version.own_version(),
            encoder=encoder,
            generator=generator,
            device="cpu",
        )
        server_file(home).write_text(presence.model_dump_json())
        try:
            yield Running(home, jobs, presence, asked)
        finally:
            server.should_exit = True
            thread.join()
            close_api(api)
            jobs.close()
            thumbnails.close()
            engine.close()


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server over a copy of the home: what is asked of both must come out alike."""
    copy = tmp_path_factory.mktemp("served") / "home"
    shutil.copytree(home, copy)
    with running(copy) as server:
        yield server


@pytest.fixture
def both(mrag: Run, home: Path, server: Running) -> Callable[..., tuple[Done, Done]]:
    """Runs a command without a server and through one."""

    def run(*args: str | Path) -> tuple[Done, Done]:
        asked = len(server.asked)
        here, there = mrag(*args, at=home), mrag(*args, at=server.home)
        assert len(server.asked) > asked, there.err
        return here, there

    return run


def told(done: Done, home: Path) -> tuple[int, str, list[str]]:
    """What a command gave back, without its times and its home."""
    out, err = (TIMES.sub("", text).replace(str(home), "H") for text in (done.out, done.err))
    return done.code, out, [line for line in err.splitlines() if "load " not in line]


LINES = [
    "duplicates --json",
    "duplicates --near -k 1",
    "correct KNOWN --history",
    "correct KNOWN --history --json",
    "correct KNOWN --undo",
    "correct KNOWN --accept",
    "correct no-such hello",
    "search a-dog --json",
    "search a-dog",
    "search --plus red --minus blue a-dog -k 3 --offset 2 --json --space fused",
    "search --image KNOWN --json --space raw -k 2",
    "search a-dog --explain --json -k 3",
    "search split:train --explain -k 3",
    "caption UNKNOWN KNOWN --explain -k 3 --refine near-copies --refine contradictions",
    "search --like nothing",
    "search EMPTY",
    "search TYPED --json",
    "search TYPED --split val --plus red",
    "search WRONG",
    "search LATE",
    "search MEANT -k 1 --json",
    "search UNWANTED",
    "search split:train -k 3 --json",
    "search split:train -k 3",
    "search -tag:x -k 1",
    "search tag:none",
    "search a-dog --sort oldest -k 3",
    "search --sort newest -k 3 --json",
    "search --facets",
    "search split:val --facets --json",
    "search dog --min-score 0.5 --space words",
    "search dog -c no-such",
    "search dog -c ../etc",
    "search --image GONE",
    "search --image TEXT",
    "search dog --space caption --tag none",
    "caption UNKNOWN KNOWN --json -k 3",
    "caption UNKNOWN --own -n 2",
    "caption UNKNOWN TEXT GONE FOLDER KNOWN --json",
    "caption TEXT",
    "caption NO-FILM FILM --json",
    "describe NO-FILM FILM",
    "caption KNOWN --prompt nothing",
    "caption KNOWN -c no-such",
    "describe UNKNOWN TEXT GONE KNOWN --json",
    "describe UNKNOWN KNOWN",
    "describe FOLDER --xmp",
    "describe KNOWN -c no-such",
    "describe --again -c plain --json",
    "describe --again -c no-such",
    "ask MANY --json --explain",
    "ask MANY",
    "ask MANY --search dog --search cat --json",
    "ask WHERE UNKNOWN KNOWN --json -k 2",
    "ask WHERE UNKNOWN",
    "ask WHERE TEXT",
    "ask WHERE GONE",
    "ask WHERE 00000000-0000-0000-0000-000000000000",
    "ask NOTHING",
    "ask WHY --json",
    "ask MANY -c no-such",
    "ask MANY --search LATE",
    "ask --questions QUESTIONS --json",
    "compare UNKNOWN KNOWN --json -k 2",
    "compare UNKNOWN",
    "compare GONE KNOWN",
    "collections --json",
    "delete no-such --yes",
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_answers_alike_through_a_server(
    both: Callable[..., tuple[Done, Done]],
    home: Path,
    server: Running,
    held_out: list[Path],
    tmp_path: Path,
    line: str,
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "questions.txt").write_text("how many cats?\n\n?!\nis there a unicorn?\n")
    (tmp_path / "text.mp4").write_text("no video")
    film(tmp_path / "trip.mp4", 1, 4)
    places = {
        "NO-FILM": tmp_path / "text.mp4", "FILM": tmp_path / "trip.mp4",
        "KNOWN": PACK / "plain" / "images" / "000.webp", "UNKNOWN": held_out[0],
        "TEXT": tmp_path / "text.jpg", "GONE": tmp_path / "gone.jpg", "FOLDER": tmp_path,
        "EMPTY": "", "a-dog": "a dog", "TYPED": 'a dog -cat 2:snow "dog" split:train by:human',
        "WRONG": "犬 camera: Canon", "LATE": "dog before:2024-13", "UNWANTED": "-cat -2:dog",
        "MEANT": "dog keywords:sea", "MANY": "how many pictures show a dog?", "NOTHING": "?!",
        "WHERE": "where is this?", "WHY": "why is the dog there?",
        "QUESTIONS": tmp_path / "questions.txt",
    }  # fmt: skip
    here, there = both(*(places.get(word, word) for word in line.split(" ")))
    assert told(there, server.home) == told(here, home)


def test_an_ingest_and_a_deletion_are_alike_through_a_server(
    both: Callable[..., tuple[Done, Done]], home: Path, server: Running, tmp_path: Path
) -> None:
    """A folder with what cannot be read; what was read before is not read again."""
    folder = tmp_path / "some pictures"
    folder.mkdir()
    for name in ("001.webp", "002.webp", "003.webp"):
        shutil.copy(PACK / "plain" / "images" / name, folder)
    for number in range(12):
        (folder / f"bad{number:02}.jpg").write_text(f"no picture {number}")
    for _ in range(2):
        here, there = both("ingest", folder, "--memory", "plain", "--profile", "sample", "--json")
        assert there.code == here.code == 1, there.err
        (far,), (near,) = there.answers, here.answers
        assert {**far, "seconds": 0} == {**near, "seconds": 0}
        for number in range(12):
            assert there.err.count(f"bad{number:02}.jpg: ") == 1
        assert "12 inputs failed; each is named in" in there.err
        assert re.search(r"^[a-z ]+ \.\.\.$", there.err, re.MULTILINE)  # a stage of the job
    here, there = both("delete", "some-pictures", "--yes")
    assert told(there, server.home) == told(here, home) == (0, "", ["deleted some-pictures"])
    assert not (server.home / "collections" / "some-pictures").exists()


def test_a_source_that_is_not_there_is_told_alike(
    both: Callable[..., tuple[Done, Done]], tmp_path: Path, home: Path, server: Running
) -> None:
    here, there = both("ingest", tmp_path / "nowhere", "-c", "new")
    assert told(there, server.home) == told(here, home)
    assert there.code == 2


def test_a_source_of_which_nothing_can_be_taken_is_told_alike(
    both: Callable[..., tuple[Done, Done]], tmp_path: Path
) -> None:
    """Though it fails when the server is at work on it already."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.jpg").write_text("no picture")
    here, there = both("ingest", folder, "--profile", "sample")
    assert there.code == here.code == 2
    for done in (here, there):
        assert "nothing of the source could be taken in" in done.err
        assert "a.jpg: is not a picture" in done.err


def test_ctrl_c_cancels_the_ingest_on_the_server(
    mrag: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is kept, which is said, and the same command goes on."""
    followed = Client.events

    def interrupted(client: Client, key: str) -> Iterator[Any]:
        yield next(followed(client, key))
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "events", interrupted)
    done = mrag("ingest", PACK / "plain" / "captions.jsonl", "-c", "half", at=server.home)
    assert done.code == 130
    assert "the server was told to stop, too" in done.err
    assert "the same command goes on from there" in done.err
    (job,) = [one for one in server.jobs.all() if one.collection == "half"]
    assert job.stopping or job.state == "cancelled"
    with Client(server.presence.address) as client:
        ended = [*followed(client, job.id)][-1]
        assert ended.state == "cancelled"
    assert mrag("delete", "half", "--yes", at=server.home).code in {0, 3}  # it may not be made yet


def test_local_works_here_though_a_server_runs(mrag: Run, server: Running) -> None:
    """Where the server has the index open, that is said as it is without a server file."""
    asked = len(server.asked)
    assert mrag("collections", "--local", "--json", at=server.home).code in {0, 3}
    assert len(server.asked) == asked


def test_where_the_server_has_the_index_open_its_remedy_is_told(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_HOME", str(server.home))
    monkeypatch.setenv("MRAG_PROFILE", "sample")
    told = f"open elsewhere. The server of this home, at {server.presence.address}, .*--local"
    with pytest.raises(StoreLocked, match=told), answering(local=True):
        raise StoreLocked("open elsewhere")


@pytest.mark.parametrize(
    "options",
    [("--encoder", "local-dir:/no-such"), ("--device", "cuda:7"), ("--generator", "consensus")],
)
def test_other_models_than_the_servers_are_used_here(
    mrag: Run, server: Running, held_out: list[Path], options: tuple[str, str]
) -> None:
    asked = len(server.asked)
    done = mrag("caption", held_out[0], *options, at=server.home)
    assert f"other models than {options[0]} names: working here without it" in done.err
    assert len(server.asked) == asked


def test_the_servers_own_models_may_be_named(mrag: Run, server: Running) -> None:
    options = ("--encoder", server.presence.encoder, "--device", "cpu")
    done = mrag("search", "a dog", *options, "--json", at=server.home)
    assert (done.code, done.err) == (0, "")


def test_a_server_of_another_version_is_named_and_used_only_if_it_is_understood(
    mrag: Run, home: Path, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.doors.own_version", lambda: "99.0")
    done = mrag("collections", "--json", at=server.home)
    assert done.code == 0
    assert f"is of version {server.presence.version}, not 99.0; start it anew" in done.err
    shutil.copy(server_file(server.home), server_file(home))
    monkeypatch.setattr("cli.doors.API", version.API + 1)
    done = mrag("collections", "--json", at=home)
    server_file(home).unlink()
    assert done.code == 0
    assert "does not understand: working here without it" in done.err
    assert done.answers[0]["path"].startswith(str(home))


@pytest.mark.parametrize(
    "changes", [{"address": "http://127.0.0.1:9"}, {"pid": 2**22 + 1}, {"address": "odd"}]
)
def test_a_server_file_that_leads_nowhere_is_passed_over(
    mrag: Run, home: Path, server: Running, changes: dict[str, Any]
) -> None:
    stale = server.presence.model_copy(update=changes)
    server_file(home).write_text(stale.model_dump_json())
    done = mrag("collections", "--json", at=home)
    server_file(home).unlink()
    assert (done.code, done.err) == (0, "")


def test_the_default_collection_is_that_of_who_asks(
    mrag: Run, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_COLLECTION", "no-such")
    done = mrag("search", "a dog", at=server.home)
    assert done.code == 3
    assert "'no-such'" in done.err


def test_the_server_speaks_the_version_of_the_client(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRAG_HOME", str(server.home))
    with served() as client:
        assert client is not None
        assert client.version().api == version.API


@pytest.mark.parametrize("through", [True, False])
def test_an_agent_is_answered_through_the_server_or_without_one(
    home: Path, server: Running, monkeypatch: pytest.MonkeyPatch, through: bool
) -> None:
    """Its previews too; between its calls others may open the index."""
    monkeypatch.setenv("MRAG_HOME", str(server.home if through else home))
    asked = len(server.asked)
    door = TerminalDoor()
    for _ in range(2):
        with door.asked() as opened:
            (found,) = opened.answers.search(SearchOptions(text="a dog", k=1))
            preview = opened.preview(found.hits[0].id, "")
            assert preview is not None
            assert preview.startswith(b"RIFF")
        if not through:
            with answering(local=True) as others:
                assert others.collections()[0].images == 80
    door.close()
    assert (len(server.asked) > asked) is through


def test_without_its_package_the_agents_command_says_how_to_get_it(
    mrag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "server.agents", raising=False)
    done = mrag("mcp")
    assert (done.code, done.out) == (3, "")
    assert "pip install 'mrag[mcp]'" in done.err


HEAVY = (
    "numpy", "PIL", "torch", "open_clip", "transformers", "qdrant_client", "qdrant_edge", "scipy",
    "matplotlib", "pyarrow", "streamlit", "fastapi", "pydantic_settings",
    "rich.progress", "asyncio",
)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "search a -c plain --json",
        "search a -c plain",
        "caption PICTURE -c plain",
        "compare PICTURE -c plain",
        "collections",
    ],
)
def test_through_a_server_nothing_heavy_is_loaded(server: Running, line: str) -> None:
    """Which modules a command has when it ends, as a process of its own."""
    picture = str(PACK / "plain" / "images" / "000.webp")
    words = [picture if word == "PICTURE" else word for word in line.split()]
    code = (
        "import sys, atexit, mrag\n"
        f"sys.argv = {['mrag', *words]!r}\n"
        f"told = lambda: print(*set(sys.modules) & {{'httpx', *{HEAVY!r}}}, file=sys.stderr)\n"
        "atexit.register(told)\n"
        "sys.exit(mrag.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"MRAG_HOME": str(server.home), "PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, ["httpx"])


def test_a_sync_is_alike_through_a_server(
    both: Callable[..., tuple[Done, Done]], server: Running, tmp_path: Path
) -> None:
    """Looked at first, refused where much would leave, done where that is said; then nothing."""
    folder = tmp_path / "trip"
    folder.mkdir()
    for number in range(8):
        shutil.copy(PACK / "plain" / "images" / f"{number:03}.webp", folder)
    both("ingest", folder, "--memory", "plain", "--json")
    (folder / "000.webp").rename(folder / "moved.webp")
    for number in range(1, 6):
        (folder / f"{number:03}.webp").unlink()
    refused = "5 of 8 pictures would leave collection 'trip'; nothing was changed."
    for options, code, said in (
        (("--dry-run",), 0, "would be: 0 new, 0 changed, 1 moved, 5 gone; 2 unchanged"),
        ((), 2, refused),
        (("--yes",), 0, "0 new, 0 changed, 1 moved, 5 gone; 2 unchanged"),
        ((), 0, "0 new, 0 changed, 0 moved, 0 gone; 3 unchanged"),
    ):
        here, there = both("sync", "-c", "trip", "--json", *options)
        assert there.code == here.code == code, there.err
        assert said in there.err
        assert said in here.err
        for far, near in zip(there.answers, here.answers, strict=True):
            assert without_times(far) == without_times(near)
    assert server.asked[-1].startswith("/api/v1/ingests/")
    both("delete", "trip", "--yes")


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    ingest = {**(answer["ingest"] or {}), "seconds": 0}
    return {**answer, "seconds": 0, "ingest": ingest}
