"""ingest, embed, fit, push, memory and collections, as commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import PACK, Run

IMAGES = PACK / "plain" / "images"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four pictures without captions, named so that it names a collection."""
    folder = tmp_path / "My Pictures"
    folder.mkdir()
    for name in ("001.webp", "002.webp", "003.webp", "004.webp"):
        shutil.copy(IMAGES / name, folder)
    return folder


def test_a_second_ingest_does_nothing_again(mrag: Run) -> None:
    table = PACK / "plain" / "captions.jsonl"
    done = mrag("ingest", table, "-c", "plain", "--split", "train", "--limit", "80", "--json")
    (report,) = done.answers
    assert done.code == 0
    assert (report["embedded"], report["unchanged"], report["points_written"]) == (0, 80, 0)
    assert done.err.startswith("embed ...\n")  # without a terminal, stages are named in lines


def test_pictures_without_captions_are_described_from_a_memory(
    mrag: Run, home: Path, pictures: Path
) -> None:
    done = mrag("ingest", pictures, "--memory", "plain", "--json")
    assert done.code == 0, done.err
    (report,) = done.answers
    assert report["collection"] == "my-pictures"
    assert report["described"] == 4
    found = mrag("search", "a dog", "-c", "my-pictures", "--space", "caption", "--json")
    assert all(hit["caption"] for hit in found.answers[0]["hits"])
    assert len(found.answers[0]["hits"]) == 4
    shutil.rmtree(home / "collections" / "my-pictures")


def test_bad_files_are_counted_named_and_do_not_stop_the_rest(
    mrag: Run, tmp_path: Path, pictures: Path
) -> None:
    (pictures / "000.jpg").write_text("no picture")
    done = mrag(
        "ingest", pictures, "-c", "some", "--profile", "sample", "--json", at=tmp_path / "home"
    )
    (report,) = done.answers
    assert done.code == 1
    assert report["embedded"] == 4
    assert report["skipped"] == {"unreadable": 1}
    assert "000.jpg" in (tmp_path / "home/collections/some/skipped.jsonl").read_text()


def test_embed_fit_and_push_make_an_ingest_together(mrag: Run, tmp_path: Path) -> None:
    table = PACK / "plain" / "captions.jsonl"
    at = tmp_path / "home"
    steps = (
        ("embed", table, "-c", "some", "--limit", "40", "--profile", "sample"),
        ("fit", "some", "--method", "shrink"),
        ("push", "some"),
    )
    for step in steps:
        done = mrag(*step, "--json", at=at)
        assert done.code == 0, done.err
        assert done.answers[0]["collection"] == "some"
    assert done.answers[0]["images"] == 40
    (summary,) = mrag("collections", "--json", at=at).answers
    assert (summary["images"], summary["captions"], summary["method"]) == (40, 200, "shrink")


def test_fit_for_people_shows_the_table_it_chose_from(mrag: Run, home: Path) -> None:
    kept = (home / "collections/plain/alignment.safetensors").read_bytes()
    done = mrag("fit", "plain")
    assert done.code == 0
    for method in ("raw", "centred", "shrink", "ridge", "procrustes", "ols"):
        assert method in done.out
    (home / "collections/plain/alignment.safetensors").write_bytes(kept)


def test_a_memory_of_any_captions_describes(mrag: Run, tmp_path: Path, pictures: Path) -> None:
    at = tmp_path / "home"
    lines = (PACK / "memory.txt").read_text().splitlines()[:200]
    captions = tmp_path / "captions.txt"
    captions.write_text("\n".join(lines))
    made = mrag(
        "memory", "--captions", captions, "-c", "words", "--profile", "sample", "--json", at=at
    )
    assert made.code == 0, made.err
    assert made.answers[0]["captions"] == 200
    done = mrag("ingest", pictures, "--memory", "words", "--json", at=at)
    assert done.code == 0, done.err
    assert done.answers[0]["described"] == 4


def test_a_memory_that_was_fitted_anew_is_noticed_and_the_remedy_works(
    mrag: Run, tmp_path: Path, pictures: Path
) -> None:
    at = tmp_path / "home"
    table = PACK / "plain" / "captions.jsonl"
    lent = ("ingest", table, "-c", "lent", "--limit", "40", "--profile", "sample")
    assert mrag(*lent, "--method", "shrink", at=at).code == 0
    assert mrag("ingest", pictures, "--memory", "lent", at=at).code == 0
    asked = ("caption", IMAGES / "005.webp", "-c", "my-pictures")
    assert mrag(*asked, at=at).code == 0
    assert mrag("fit", "lent", "--method", "raw", at=at).code == 0
    assert mrag(*asked, at=at).code == 0  # the index still has the map that it was written with
    assert mrag("push", "lent", at=at).code == 0
    done = mrag(*asked, at=at)
    assert done.code == 2
    remedy = "mrag push lent && mrag fit my-pictures && mrag push my-pictures"
    assert remedy in done.err
    for command in remedy.split(" && "):
        assert mrag(*command.split()[1:], at=at).code == 0
    assert mrag(*asked, at=at).code == 0


@pytest.mark.parametrize("args", [["memory"], ["memory", "coco", "--captions", "x.txt"]])
def test_a_memory_is_one_thing(mrag: Run, args: list[str]) -> None:
    done = mrag(*args)
    assert done.code == 2
    assert "mrag memory coco" in done.err


def test_a_source_that_is_not_there_is_named(mrag: Run, tmp_path: Path) -> None:
    done = mrag("ingest", tmp_path / "nowhere", at=tmp_path)
    assert done.code == 2
    assert "nowhere" in done.err
    assert not (tmp_path / "collections").exists()


def test_a_memory_of_another_name_is_missing(mrag: Run, tmp_path: Path, pictures: Path) -> None:
    at = tmp_path / "home"
    done = mrag("ingest", pictures, "--memory", "none", "--profile", "sample", at=at)
    assert done.code == 3
    assert "none" in done.err
    assert not (at / "collections" / "my-pictures").exists()


def test_a_server_that_is_down_is_told_once(mrag: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRAG_QDRANT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MRAG_QDRANT_GRPC_PORT", "1")
    done = mrag("collections")
    assert done.code == 3
    assert done.err.count("does not answer") == 1


def test_a_collection_is_deleted_only_when_asked_for_outright(
    mrag: Run, tmp_path: Path, pictures: Path
) -> None:
    home = tmp_path / "home"
    assert mrag("ingest", pictures, "-c", "some", "--profile", "sample", at=home).code == 0
    unsure = mrag("delete", "some", at=home)
    assert unsure.code == 2
    assert "mrag delete some --yes" in unsure.err
    assert (home / "collections" / "some").is_dir()
    done = mrag("delete", "some", "--yes", at=home)
    assert (done.code, done.err) == (0, "deleted some\n")
    assert not (home / "collections" / "some").exists()
    assert len(list(pictures.iterdir())) == 4
    assert mrag("delete", "some", "--yes", at=home).code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest", ""),
        ("embed", " "),
        ("memory", "--captions", ""),
        ("memory", "coco", "--from", ""),
    ],
)
def test_an_empty_name_is_not_the_current_folder(
    mrag: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = mrag(*arguments, "-c", "some", "--profile", "sample", at=tmp_path / "home")
    assert done.code == 2
    assert "an empty name was given" in done.err
    assert not (tmp_path / "home" / "collections").exists()


def test_a_first_ingest_that_takes_nothing_in_leaves_no_collection(
    mrag: Run, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_text("no picture")
    done = mrag("ingest", bad, "--profile", "sample", at=tmp_path / "home")
    assert done.code == 2
    assert "nothing of the source could be taken in" in done.err
    assert "a.jpg: is not a picture" in done.err
    assert mrag("collections", "--json", at=tmp_path / "home").answers == []


def test_where_pictures_of_coco_were_found_is_said(
    mrag: Run, tmp_path: Path, pictures: Path
) -> None:
    table = pictures.parent / "captions.json"
    listed = [{"id": 1, "file_name": "001.webp"}, {"id": 2, "file_name": "009.webp"}]
    told = [{"image_id": 1, "id": 1, "caption": "a dog"}]
    table.write_text(json.dumps({"images": listed, "annotations": told}))
    pictures.rename(pictures.with_name("images"))
    done = mrag("embed", table, "-c", "some", "--profile", "sample", at=tmp_path / "home")
    assert "1 pictures and 1 captions embedded" in done.err
    assert f"its pictures lie in {tmp_path / 'images'}" in done.err
    assert done.code == 1
    assert "009.webp: image 2: there is no such picture file" in done.err
