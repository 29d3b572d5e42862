from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.worlds import copied_tree

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PACK = Path(__file__).parents[2] / "sample" / "pack"
QUICK = ("--split", "train", "--limit", "12", "--maps", "raw,mapped,ols")


def test_a_collection_is_measured_without_encoding_a_picture(mrag: Run, home: Path) -> None:
    before = sorted(path for path in home.rglob("*") if "ledger" not in path.name)
    done = mrag("evaluate", "plain", *QUICK, "--no-captions", "--json")
    assert done.code == 0, done.err
    (report,) = done.answers
    assert report["collection"] == "plain"
    assert report["splits"] == ["train"]
    assert (report["pictures"], report["references"], report["limit"]) == (12, 60, 12)
    assert report["command"] == f"mrag evaluate plain {' '.join(QUICK)} --no-captions --json"
    assert report["environment"]["MRAG_HOME"] == str(home)
    assert report["settings"]["seed"] == 0
    values = {(f["task"], f["metric"], f["map"]): f["value"] for f in report["figures"]}
    assert values["picture to caption", "hit@1", "mapped"] > 0.5
    assert {name for _, _, name in values} == {"raw", "mapped", "ols"}
    # No index was opened and nothing is left behind.
    assert sorted(path for path in home.rglob("*") if "ledger" not in path.name) == before


def test_maps_are_fitted_without_training_pictures_that_are_measured(mrag: Run) -> None:
    (report,) = mrag("evaluate", "plain", *QUICK, "--no-captions", "--json").answers
    maps = {one["name"]: one for one in report["maps"]}
    assert maps["mapped"]["pairs"] == 400
    # A map that `auto` finds to be raw rests on no picture.
    learned = maps["mapped"]["method"] != "raw"
    assert maps["mapped"]["fitted_on_evaluated_pictures"] == learned
    assert not maps["ols"]["fitted_on_evaluated_pictures"]
    assert maps["ols"]["pairs"] == 400 - 60
    assert maps["ols"]["source"] == "collection plain without 12 evaluated pictures"
    assert any("too good" in note for note in report["notes"]) == learned


def test_the_same_command_gives_the_same_figures(mrag: Run) -> None:
    once, twice = (
        mrag("evaluate", "plain", *QUICK, "--no-captions", "--json").answers[0] for _ in range(2)
    )
    del once["seconds"], twice["seconds"], once["created"], twice["created"]
    assert once == twice
    other = mrag("evaluate", "plain", *QUICK, "--no-captions", "--json", "--seed", "1").answers[0]
    assert other["data"]["pictures"] != once["data"]["pictures"]


def test_captions_are_written_scored_and_reported(mrag: Run, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "page.html"
    done = mrag(
        "evaluate", "plain", *QUICK, "--metrics", "", "--html", page, "--out", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    for word in ("captions", "clip-score", "picture to word", "median-rank", "mapped", "ols"):
        assert word in done.out
    assert "write captions (ols)" in done.err
    assert page.read_text() == (out / "report.html").read_text()
    assert page.read_text().count('<img src="data:image/webp') == 12
    rows = [json.loads(line) for line in (out / "pictures.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    assert all(row["maps"]["mapped"]["caption"] for row in rows)
    report = json.loads((out / "report.json").read_text())
    assert report["models"]["generator"]


def test_a_split_that_is_not_there_is_named_beside_those_that_are(mrag: Run) -> None:
    done = mrag("evaluate", "plain")
    assert done.code == 2
    assert "no captioned picture in split 'test'" in done.err
    assert "'train' (80)" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("plain", "--maps", "raw,pca"), 2, "unknown map 'pca'"),
        (("plain", "--maps", ","), 2, "at least one map"),
        (("plain", "--metrics", "cider"), 2, "unknown caption metric 'cider'"),
        (("absent",), 3, "there is no collection 'absent'"),
    ],
)
def test_what_cannot_be_measured_is_said(
    mrag: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = mrag("evaluate", *arguments)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


def small_source(folder: Path, split: str = "") -> Path:
    """Three pictures with captions that look like markup."""
    folder.mkdir()
    rows = []
    for number, path in enumerate(sorted((PACK / "plain" / "images").iterdir())[:3]):
        shutil.copy(path, folder)
        captions = [f"Thing <b>{number}</b>", "it"]
        rows.append({"image": path.name, "captions": captions, "split": split})
    table = folder / "captions.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


def test_a_collection_with_a_memory_borrows_its_captions_and_its_pairs(
    mrag: Run, home: Path, tmp_path: Path
) -> None:
    copy = copied_tree(home, tmp_path / "home")
    table = small_source(tmp_path / "pictures", "test")
    done = mrag("ingest", table, "-c", "guest", "--memory", "plain", "--profile", "sample", at=copy)
    assert done.code == 0, done.err
    done = mrag("evaluate", "guest", "--no-captions", "--maps", "raw,mapped,ols", "--json", at=copy)
    assert done.code == 0, done.err
    (report,) = done.answers
    assert report["splits"] == ["test"]
    assert report["data"]["memory_captions"] == 400  # and not what the guest says of the measured
    maps = {one["name"]: one for one in report["maps"]}
    # The guest's pictures are among the memory's training pictures, under other names.
    assert report["pictures"] == 3
    assert maps["ols"]["pairs"] == 400 - 3 * 5
    assert maps["ols"]["source"] == "collection plain without 3 evaluated pictures"


def test_captions_of_held_out_pictures_are_not_borrowed(
    mrag: Run, home: Path, tmp_path: Path
) -> None:
    copy = copied_tree(home, tmp_path / "home")
    table = PACK / "plain" / "captions.jsonl"
    for split in ("val", "test"):
        done = mrag("ingest", table, "-c", "plain", "--split", split, "--limit", "6", at=copy)
        assert done.code == 0, done.err
    (report,) = mrag(
        "evaluate", "plain", "--no-captions", "--maps", "raw", "--json", at=copy
    ).answers
    assert report["splits"] == ["test"]
    # 12 pictures with 5 captions each are not among them.
    assert report["data"]["memory_captions"] == 400
    assert report["settings"]["borrowed_splits"] == ["train"]


def test_pictures_whose_files_are_gone_are_measured_all_the_same(
    mrag: Run, home: Path, tmp_path: Path
) -> None:
    copy = copied_tree(home, tmp_path / "home")
    pictures = tmp_path / "pictures"
    table = small_source(pictures)
    done = mrag("ingest", table, "-c", "loose", "--profile", "sample", at=copy)
    assert done.code == 0, done.err
    shutil.rmtree(pictures)
    out = tmp_path / "out"
    done = mrag(
        "evaluate", "loose", "--split", "", "--metrics", "", "--generator", "consensus",
        "--out", out, "--json", at=copy,
    )  # fmt: skip
    assert done.code == 0, done.err
    (report,) = done.answers
    assert report["splits"] == [""]
    # All its pictures are measured, so none are left to fit another map on.
    assert [one["name"] for one in report["maps"]] == ["raw", "mapped"]
    assert "at least 2 pairs" in report["missing"]["map ols"]
    page = (out / "report.html").read_text()
    assert "picture file is gone" in page
    assert "&lt;b&gt;" in page
    assert "<b>0</b>" not in page
