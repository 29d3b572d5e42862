"""Background ingests: progress, cancelling, resuming, and what a restart finds."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from errno import ENOSPC
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from engine.app import Engine
from engine.errors import (
    Busy,
    CollectionMissing,
    InvalidInput,
    SourceError,
    StoreLocked,
    StoreUnavailable,
)
from engine.files import write_whole
from engine.search.gallery import Query
from engine.settings import Settings
from ingest.delete import delete
from ingest.jobs import records
from ingest.jobs.archive import uploads
from ingest.jobs.background import MOST_WAITING, Jobs
from ingest.jobs.records import KEPT, Job, JobRecords
from mrag_client.models import IngestOptions
from tests.worlds import Gate, OneEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def engine(tmp_path: Path, gate: Gate) -> Iterator[Engine]:
    (tmp_path / "allowed").mkdir()
    settings = Settings(
        home=tmp_path / "home",
        source_root=tmp_path / "allowed",
        generator="consensus",
        batch_size=4,
        workers=1,
        qdrant_url="",
    )
    engine = Engine(settings)
    engine.models = OneEncoder(settings, gate)
    yield engine
    engine.close()


@pytest.fixture
def jobs(engine: Engine, gate: Gate) -> Iterator[Jobs]:
    made = Jobs(engine)
    yield made
    gate.open.set()
    made.close()


@pytest.fixture
def album(engine: Engine, painted: Callable[[Path, int], None]) -> Path:
    """Twelve pictures, each with a caption."""
    root = engine.settings.source_root
    assert root is not None
    for seed in range(12):
        painted(root / "album" / f"{seed:02}.png", seed)
        (root / "album" / f"{seed:02}.txt").write_text(f"picture {seed}", encoding="utf-8")
    return root / "album"


def ended(jobs: Jobs, job: Job) -> Job:
    """The job when its thread has come to the end of it."""
    for _ in range(2000):
        if not (now := jobs.get(job.id)).is_active:
            return now
        Event().wait(0.01)
    raise AssertionError(f"{now} does not end")


def zipped(album: Path) -> BytesIO:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(album.iterdir()):
            archive.write(path, f"album/{path.name}")
    return buffer


def test_a_folder_is_ingested_and_searched(jobs: Jobs, engine: Engine, album: Path) -> None:
    (album / "bad.png").write_bytes(b"no picture")
    job = ended(jobs, jobs.start("noise", Path("album")))
    assert (job.state, job.skipped, job.source) == ("done", 1, album)
    assert "12 pictures and 12 captions" in job.message
    assert job.progress is not None
    assert job.ended is not None
    assert job.ended >= job.started
    summary = engine.open("noise").summary()
    assert (summary.images, summary.captions) == (12, 12)


def test_an_uploaded_archive_is_ingested(jobs: Jobs, engine: Engine, album: Path) -> None:
    job = ended(jobs, jobs.start_upload("noise", zipped(album), "Album.zip"))
    assert job.state == "done", job.message
    assert engine.open("noise").summary().images == 12
    again = ended(jobs, jobs.start_upload("noise", zipped(album), "Album.zip"))
    assert "12 unchanged" in again.message


def test_progress_can_be_seen_while_it_runs(jobs: Jobs, gate: Gate, album: Path) -> None:
    gate.open.clear()
    job = jobs.start("noise", album)
    assert gate.entered.wait(20)
    now = jobs.get(job.id)
    assert now.state == "running"
    assert now.progress is not None
    assert jobs.active("noise") == [now]
    assert jobs.active("other") == []
    gate.open.set()
    assert ended(jobs, job).state == "done"


def test_cancelled_and_resumed_it_repeats_little(
    jobs: Jobs, engine: Engine, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    job = jobs.start("noise", album)
    assert gate.entered.wait(20)
    assert jobs.cancel(job.id).stopping
    gate.open.set()
    stopped = ended(jobs, job)
    assert (stopped.state, stopped.stopping) == ("cancelled", False)
    assert jobs.cancel(job.id) == stopped
    assert ended(jobs, jobs.resume(job.id)).state == "done"
    assert engine.open("noise").summary().images == 12
    assert [one.id for one in jobs.all()] == [job.id]


def test_one_runs_and_the_others_wait(jobs: Jobs, gate: Gate, album: Path) -> None:
    gate.open.clear()
    first = jobs.start("one", album)
    assert gate.entered.wait(20)
    others = [jobs.start("two", album) for _ in range(MOST_WAITING)]
    assert {jobs.get(job.id).state for job in others} == {"waiting"}
    with pytest.raises(Busy, match="20 jobs wait already"):
        jobs.start("two", album)
    with pytest.raises(InvalidInput, match="has not ended"):
        jobs.resume(first.id)
    assert {jobs.cancel(job.id).state for job in others[1:]} == {"cancelled"}
    gate.open.set()
    assert [ended(jobs, job).state for job in (first, others[0])] == ["done", "done"]


def left_of(engine: Engine, name: str) -> list[Path]:
    return sorted(uploads(engine.settings.home, name).rglob("*"))


def test_an_upload_that_cannot_begin_leaves_nothing(
    jobs: Jobs, engine: Engine, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    first = jobs.start("one", album)
    assert gate.entered.wait(20)
    waiting = [jobs.start("one", album) for _ in range(MOST_WAITING)]
    for name in ("new", "one"):
        with pytest.raises(Busy):
            jobs.start_upload(name, zipped(album), "a.zip")
        assert left_of(engine, name) == []
    for job in waiting:
        jobs.cancel(job.id)
    gate.open.set()
    ended(jobs, first)


def test_an_upload_that_fails_before_there_is_a_collection_leaves_nothing(
    jobs: Jobs, engine: Engine, album: Path
) -> None:
    (album / "captions.csv").write_text("colour,weight\nred,3\n", encoding="utf-8")
    failed = ended(jobs, jobs.start_upload("noise", zipped(album), "a.zip"))
    assert failed.state == "failed"
    assert "no column for a picture" in failed.message
    assert left_of(engine, "noise") == []
    again = ended(jobs, jobs.resume(failed.id))
    assert (again.state, "upload it again" in again.message) == ("failed", True)
    (album / "captions.csv").unlink()
    assert ended(jobs, jobs.start_upload("noise", zipped(album), "a.zip")).state == "done"
    (album / "captions.csv").write_text("colour,weight\nred,3\n", encoding="utf-8")
    assert ended(jobs, jobs.start_upload("noise", zipped(album), "b.zip")).state == "failed"
    assert engine.open("noise").summary().images == 12
    images = engine.open("noise").images
    assert all(Path(hit.uri).is_file() for hit in images.get(list(images.ids())))


def test_an_upload_that_another_job_needs_is_kept(
    jobs: Jobs, engine: Engine, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    first = jobs.start("one", album)
    assert gate.entered.wait(20)
    upload = jobs.start_upload("noise", zipped(album), "a.zip")
    jobs.cancel(upload.id)
    waiting = [jobs.start("one", album) for _ in range(MOST_WAITING)]
    with pytest.raises(Busy):
        jobs.start_upload("noise", zipped(album), "a.zip")
    assert left_of(engine, "noise") == [upload.source]
    for job in waiting:
        jobs.cancel(job.id)
    gate.open.set()
    ended(jobs, first)
    assert ended(jobs, jobs.resume(upload.id)).state == "done"


def test_the_upload_of_a_forgotten_job_goes_with_it(
    jobs: Jobs, engine: Engine, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    first = jobs.start("one", album)
    assert gate.entered.wait(20)
    upload = jobs.start_upload("noise", zipped(album), "a.zip")
    stopped = jobs.cancel(upload.id)
    gate.open.set()
    ended(jobs, first)
    records = JobRecords(engine.settings.home)
    for number in range(KEPT):
        records.write(replace(stopped, id=f"{upload.id}x{number:03}", source=album))
    ended(jobs, jobs.start("one", album))
    assert left_of(engine, "noise") == []


def test_a_failure_says_why_and_the_next_job_runs(jobs: Jobs, gate: Gate, album: Path) -> None:
    gate.fails_at = 0
    failed = ended(jobs, jobs.start("noise", album))
    assert (failed.state, failed.message) == (
        "failed",
        "this is a bug: RuntimeError: out of memory",
    )
    gate.fails_at = -1
    (album.parent / "empty").mkdir()
    empty = ended(jobs, jobs.start("other", Path("empty")))
    assert empty.state == "failed"
    assert "neither pictures nor captions" in empty.message
    assert ended(jobs, jobs.resume(failed.id)).state == "done"


@contextmanager
def no_space_for(*jobs: Job) -> Iterator[None]:
    """Let the records of these jobs be written no more, as on a full disk."""
    names = {f"{job.id}.json" for job in jobs}

    def write(path: Path, content: bytes | str) -> None:
        if path.name in names:
            raise OSError(ENOSPC, "No space left on device")
        write_whole(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "write_whole", write)
        yield


def test_jobs_go_on_where_their_records_cannot_be_written(
    jobs: Jobs, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    first = jobs.start("one", album)
    assert gate.entered.wait(20)
    waiting = jobs.start("two", album)
    with no_space_for(first, waiting):
        gate.open.set()
        assert [ended(jobs, job).state for job in (first, waiting)] == ["done", "done"]
        assert ended(jobs, jobs.start("three", album)).state == "done"


def test_a_job_that_cannot_be_recorded_is_refused(jobs: Jobs, album: Path) -> None:
    job = ended(jobs, jobs.start("one", album))
    with (
        no_space_for(job),
        pytest.raises(StoreUnavailable, match="check that the disk has space"),
    ):
        jobs.resume(job.id)
    assert jobs.get(job.id) == job
    assert ended(jobs, jobs.resume(job.id)).state == "done"


def test_what_may_not_be_read_is_refused_at_once(
    jobs: Jobs, engine: Engine, album: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="MRAG_SOURCE_ROOT"):
        jobs.start("noise", tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        jobs.start("noise", Path("nowhere"))
    with pytest.raises(InvalidInput, match="not allowed"):
        jobs.start("../noise", album)
    with pytest.raises(CollectionMissing, match="'coco'"):
        jobs.start("noise", album, IngestOptions(memory="coco"))
    engine.settings.source_root = None
    with pytest.raises(InvalidInput, match="no folder of this machine may be read"):
        jobs.start("noise", album)
    assert jobs.all() == []
    with pytest.raises(InvalidInput, match="no job 'x'"):
        jobs.get("x")


def test_nothing_outside_the_root_is_ingested(
    jobs: Jobs, album: Path, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    painted(tmp_path / "secret.png", 99)
    (album / "leak.txt").symlink_to(tmp_path / "secret.png")
    failed = ended(jobs, jobs.start("noise", album))
    assert failed.state == "failed"
    assert "leads out" in failed.message
    (album / "leak.txt").unlink()
    table = album / "table.csv"
    table.write_text("image,caption\n../../secret.png,a secret\n00.png,a picture\n", "utf-8")
    done = ended(jobs, jobs.start("noise", table))
    assert done.skipped == 1
    assert "1 pictures and 1 captions embedded" in done.message


def test_after_a_kill_it_is_interrupted_and_goes_on(
    engine: Engine, jobs: Jobs, album: Path
) -> None:
    done = ended(jobs, jobs.start("noise", album))
    killed = replace(done, id=done.id + "x", state="running", owner="killed", ended=None)
    JobRecords(engine.settings.home).write(killed)
    assert jobs.get(killed.id).state == "interrupted"
    resumed = ended(jobs, jobs.resume(killed.id))
    assert resumed.state == "done"
    assert "12 unchanged" in resumed.message


def test_a_job_of_another_process_is_seen_and_left_alone(
    engine: Engine, jobs: Jobs, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    job = jobs.start("noise", album)
    assert gate.entered.wait(20)
    other = Jobs(engine)
    assert other.get(job.id).state == "running"
    with pytest.raises(InvalidInput, match="another process"):
        other.cancel(job.id)
    gate.open.set()
    ended(jobs, job)
    assert other.get(job.id).state == "done"


def test_a_process_that_ends_leaves_its_jobs_to_the_next(
    engine: Engine, jobs: Jobs, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    running, waiting = jobs.start("noise", album), jobs.start("noise", album)
    assert gate.entered.wait(20)
    gate.open.set()
    jobs.close()
    after = Jobs(engine)
    assert after.get(waiting.id).state == "interrupted"
    assert not after.get(running.id).is_active
    with pytest.raises(Busy, match="about to end"):
        jobs.start("noise", album)
    assert ended(after, after.resume(waiting.id)).state == "done"
    after.close()


def test_each_job_keeps_what_it_could_not_read(
    jobs: Jobs, album: Path, painted: Callable[[Path, int], None]
) -> None:
    (album / "bad.png").write_bytes(b"no picture")
    painted(album / "twin.png", 3)
    first = ended(jobs, jobs.start("noise", album))
    (album / "bad.png").unlink()
    (album / "worse.png").write_bytes(b"no picture either")
    second = ended(jobs, jobs.start("noise", album))
    named = [[Path(one.uri).name for one in jobs.skipped(job.id)] for job in (first, second)]
    assert named == [["bad.png"], ["worse.png"]]
    assert list(jobs.skipped("nothing")) == []


def test_an_upload_is_called_as_its_user_called_it(jobs: Jobs, album: Path) -> None:
    job = ended(jobs, jobs.start_upload("noise", zipped(album), "Summer, at sea.zip"))
    assert (job.shown, job.source.name != job.shown) == ("Summer, at sea.zip", True)
    assert ended(jobs, jobs.start("noise", album)).shown == "album"


def test_only_what_is_wanted_is_taken_and_its_counts_are_kept(
    jobs: Jobs, engine: Engine, album: Path
) -> None:
    table = album / "table.csv"
    rows = [f"{seed:02}.png,text {seed},{'val' if seed % 2 else 'train'}" for seed in range(12)]
    table.write_text("\n".join(["file,says,split", *rows]), encoding="utf-8")
    options = IngestOptions(
        splits=("val",), limit=3, method="raw", image_column="file", caption_column="says"
    )
    job = ended(jobs, jobs.start("noise", table, options))
    assert job.state == "done", job.message
    assert job.result is not None
    assert (job.result["images"], job.result["captions"]) == (3, 3)
    assert job.result["alignment"]["method"] == engine.open("noise").alignment.method == "raw"
    again = Jobs(engine).get(job.id)  # as another process reads it
    assert (again.options, again.result) == (options, job.result)
    with pytest.raises(CollectionMissing, match="'maps'"):
        jobs.start("noise", table, IngestOptions(alignment="maps"))
    with pytest.raises(InvalidInput, match="put the pictures into the zip"):
        jobs.start_upload("noise", zipped(album), "a.zip", IngestOptions(images="x"))


def test_the_owner_of_the_machine_may_name_any_folder(
    jobs: Jobs, engine: Engine, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    for seed in range(3):
        painted(tmp_path / "elsewhere" / f"{seed}.png", seed)
        (tmp_path / "elsewhere" / f"{seed}.txt").write_text(f"picture {seed}", encoding="utf-8")
    job = ended(jobs, jobs.start("noise", tmp_path / "elsewhere", anywhere=True))
    assert job.state == "done", job.message
    assert engine.open("noise").images.count() == 3
    assert ended(jobs, jobs.resume(job.id)).state == "done"
    with pytest.raises(InvalidInput, match="name it from the root"):
        jobs.start("noise", Path("elsewhere"), anywhere=True)


def test_pictures_of_a_file_lie_inside_the_root_too(
    jobs: Jobs, album: Path, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    painted(tmp_path / "secret" / "00.png", 99)
    table = album / "table.csv"
    table.write_text("image,caption\n00.png,a picture\n", "utf-8")
    outside = IngestOptions(images=str(tmp_path / "secret"))
    failed = ended(jobs, jobs.start("noise", table, outside))
    assert (failed.state, "MRAG_SOURCE_ROOT" in failed.message) == ("failed", True)
    assert ended(jobs, jobs.start("noise", table, IngestOptions(images="album"))).state == "done"


def test_a_record_of_an_earlier_version_is_read(engine: Engine, jobs: Jobs) -> None:
    old = """{"id": "20260101-1-ab", "collection": "noise", "source": "/pictures/album",
        "started": "2026-01-01 10:00:00.5+00:00", "owner": "gone", "memory": "coco",
        "state": "failed", "progress": {"stage": "embed", "done": 3, "total": 9, "unit": "",
        "seconds_left": null}, "stopping": false, "ended": "2026-01-01 11:00:00+00:00",
        "message": "no space", "skipped": 2}"""
    (engine.settings.home / "jobs").mkdir(exist_ok=True)
    (engine.settings.home / "jobs" / "20260101-1-ab.json").write_text(old, encoding="utf-8")
    (job,) = jobs.all()
    assert (job.options.memory, job.message, job.skipped) == ("coco", "no space", 2)
    assert (job.shown, job.anywhere, list(jobs.skipped(job.id))) == ("album", False, [])
    with pytest.raises(InvalidInput, match="no job"):
        jobs.get("../../collections/noise/collection")


def test_a_job_that_has_ended_can_be_dismissed(jobs: Jobs, engine: Engine, album: Path) -> None:
    job = ended(jobs, jobs.start_upload("noise", zipped(album), "a.zip"))
    jobs.dismiss(job.id)
    assert jobs.all() == []
    assert engine.open("noise").images.count() == 12
    with pytest.raises(InvalidInput, match="no job"):
        jobs.dismiss(job.id)


def test_what_a_killed_deletion_left_is_removed(engine: Engine) -> None:
    left = engine.settings.home / "trash" / "noise-0123"
    left.mkdir(parents=True)
    Jobs(engine)
    assert not left.exists()


def test_a_damaged_record_hides_no_other(engine: Engine, jobs: Jobs, album: Path) -> None:
    job = ended(jobs, jobs.start("noise", album))
    (engine.settings.home / "jobs" / "0.json").write_text("{", encoding="utf-8")
    assert jobs.all() == [job]


def test_old_records_are_forgotten(engine: Engine, jobs: Jobs, album: Path) -> None:
    done = ended(jobs, jobs.start("noise", album))
    records = JobRecords(engine.settings.home)
    for number in range(KEPT + 3):
        records.write(replace(done, id=f"0{number:03}"))
    last = ended(jobs, jobs.start("noise", album))
    kept = jobs.all()
    assert len(kept) == KEPT
    assert kept[0] == last


def test_deleting_takes_the_uploads_and_the_records_along(
    engine: Engine, jobs: Jobs, album: Path
) -> None:
    ended(jobs, jobs.start_upload("noise", zipped(album), "a.zip"))
    ended(jobs, jobs.start("other", album))
    opened = engine.open("noise")
    assert opened.images.count() == 12
    delete(engine, "noise")
    assert engine.names() == ["other"]
    assert {job.collection for job in jobs.all()} == {"other"}
    left: Sequence[Path] = list(engine.settings.home.rglob("*noise*"))
    assert left == []
    assert album.is_dir()
    with pytest.raises(CollectionMissing, match="closed meanwhile"):
        _ = opened.captions
    with pytest.raises(CollectionMissing, match="'noise'"):
        delete(engine, "noise")
    ended(jobs, jobs.start("noise", album))
    assert engine.open("noise").images.count() == 12


def test_what_is_being_filled_is_not_deleted(
    engine: Engine, jobs: Jobs, gate: Gate, album: Path
) -> None:
    gate.open.clear()
    job = jobs.start("noise", album)
    assert gate.entered.wait(20)
    with pytest.raises(StoreLocked, match="cancel it first"):
        delete(engine, "noise")
    gate.open.set()
    ended(jobs, job)
    delete(engine, "noise")


def test_a_memory_in_use_is_not_deleted(engine: Engine, jobs: Jobs, album: Path) -> None:
    ended(jobs, jobs.start("captions", album))
    ended(jobs, jobs.start("noise", album, IngestOptions(memory="captions")))
    with pytest.raises(InvalidInput, match="is the memory of noise"):
        delete(engine, "captions")
    delete(engine, "noise")
    delete(engine, "captions")


def test_sessions_search_while_it_is_filled_and_when_it_is_deleted(
    engine: Engine, jobs: Jobs, album: Path, painted: Callable[[Path, int], None]
) -> None:
    """In threads of one process: each gets an answer, or in the end that it is gone."""
    ended(jobs, jobs.start("noise", album))
    gone, answers, troubles = Event(), Counter[int](), list[str]()

    def session(number: int) -> None:
        while True:
            try:
                engine.open("noise").gallery.search(Query(f"picture {number}"))
                answers[number] += 1
            except (CollectionMissing, StoreUnavailable) as error:
                if gone.is_set():
                    return
                troubles.append(str(error))
                return

    with ThreadPoolExecutor(4) as sessions:
        running = [sessions.submit(session, number) for number in range(4)]
        for seed in range(100, 130):
            painted(album / f"{seed}.png", seed)
            (album / f"{seed}.txt").write_text(f"picture {seed}", encoding="utf-8")
        job = ended(jobs, jobs.start("noise", album))
        gone.set()
        delete(engine, "noise")
        for one in running:
            one.result(20)
    assert job.state == "done", job.message
    assert troubles == []
    assert min(answers[number] for number in range(4)) > 0
    assert engine.names() == []
