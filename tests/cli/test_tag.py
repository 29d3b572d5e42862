"""`mrag tag`, without a server and through one: tried, given, found, listed, taken back."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import PACK, Done
from tests.cli.test_doors import running
from tests.worlds import copied_tree

Mrag = Callable[..., Done]
PICTURE = PACK / "plain" / "images" / "000.webp"


@pytest.fixture
def own(home: Path, tmp_path: Path) -> Path:
    """A copy of the home, which may be changed."""
    return copied_tree(home, tmp_path / "home")


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A list as an editor of Windows saves it."""
    file = tmp_path / "My places.txt"
    text = "# where\r\nbeach = on the beach, by the sea\r\nsnow = in the snow\r\nroom\r\n"
    file.write_bytes(text.encode("utf-8-sig"))
    return file


def check(mrag: Mrag, places: Path, tmp_path: Path) -> None:
    tried = mrag("tag", "--labels", places, "--single", "--dry-run", "--json", "-k", "5")
    assert tried.code == 0, tried.err
    (would,) = tried.answers
    assert would["name"] == "my-places"
    assert 0 < would["labelled"] <= would["pictures"] == 80
    assert all(len(one["labels"]) == 1 for one in would["shown"])
    assert not mrag("search", "label:snow", "--json").answers[0]["hits"]

    table = tmp_path / "given.csv"
    given = mrag("tag", "--labels", places, "--single", "--csv", table)
    assert given.code == 0, given.err
    assert "take them back with: mrag tag -c plain --undo my-places" in given.err
    found = mrag("search", "label:snow", "-k", "80", "--json").answers[0]["hits"]
    (count,) = (one["pictures"] for one in would["labels"] if one["label"] == "snow")
    assert len(found) == count > 0
    assert all(hit["labels"] == ["snow"] for hit in found)
    snowy = sum("snow" in hit["caption"] for hit in found)
    assert snowy > 0.6 * count  # not all captions tell the place
    rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    assert {row["id"] for row in rows if row["label"] == "snow"} == {hit["id"] for hit in found}
    all_labelled = {row["id"] for row in rows}
    assert len(all_labelled) == would["labelled"]
    would_be = tmp_path / "would be.csv"
    again = mrag("tag", "--labels", places, "--single", "--dry-run", "--csv", would_be)
    assert again.code == 0, again.err
    standing = tmp_path / "standing.csv"
    assert mrag("tag", "--name", "my-places", "--csv", standing).code == 0
    assert would_be.read_bytes() == standing.read_bytes() == table.read_bytes()
    others = mrag("search", "-label:snow", "-k", "80", "--json").answers[0]["hits"]
    assert len(others) == 80 - count
    assert "my-places: 3 labels, one a picture, from 0.3 on" in mrag("tag").out
    assert mrag("search", "--facets", "--json").answers[0]["values"]["label"]["snow"] == count

    assert mrag("tag", "--undo", "my-places").code == 0
    assert not mrag("search", "label:snow", "--json").answers[0]["hits"]
    nothing = mrag("tag", "--undo", "my-places")
    assert (nothing.code, "no tagging 'my-places'; there is: none" in nothing.err) == (2, True)


def test_labels_from_the_terminal(mrag: Mrag, own: Path, places: Path, tmp_path: Path) -> None:
    check(partial(mrag, at=own), places, tmp_path)


def test_labels_through_the_server(mrag: Mrag, own: Path, places: Path, tmp_path: Path) -> None:
    with running(own) as server:

        def asked(*args: str | Path) -> Done:
            done = mrag(*args, at=own)
            assert server.jobs.learner.labelled("plain", 120)
            return done

        check(asked, places, tmp_path)
        assert any(path.endswith("/tags") for path in server.asked)


def test_examples_are_folders_of_pictures_or_lines_of_a_file(
    mrag: Mrag, home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shown"
    (folder / "whale").mkdir(parents=True)
    shutil.copy(PICTURE, folder / "whale" / "called otherwise.webp")
    (folder / "whale" / "not here.webp").write_bytes(b"no picture of this collection")
    by_folder = mrag("tag", "--examples", folder, "--dry-run", "--json", at=home)
    assert by_folder.code == 0, by_folder.err
    assert [one["label"] for one in by_folder.answers[0]["labels"]] == ["whale"]
    assert by_folder.answers[0]["examples"] == 1
    left_out = (
        f"an example was left out: {folder / 'whale' / 'not here.webp'}: not in this collection"
    )
    assert left_out in by_folder.err
    lines = tmp_path / "lines.tsv"
    lines.write_text(f"{PICTURE}\twhale\n{PICTURE}\tballoon\n", "utf-8")
    by_lines = mrag("tag", "--examples", lines, "--dry-run", "--json", at=home).answers[0]
    assert sorted(one["label"] for one in by_lines["labels"]) == ["balloon", "whale"]


@pytest.mark.parametrize(
    ("args", "text", "told"),
    [
        (["--labels", "FILE"], "", "no label in the list"),
        (["--labels", "FILE"], "dog\nDOG\n", "line 2 of the labels"),
        (["--labels", "nowhere.txt"], "", "nowhere.txt"),
        (["--labels", "FILE", "--name", "../x"], "dog", "not allowed"),
        (["--labels", "FILE", "--undo", "x"], "dog", "leave the other options out"),
        (["--dry-run"], "", "nothing to try"),
        (["--csv", "new.csv"], "", "name it with --name"),
        (["--csv", "new.csv", "--name", "nowhere"], "", "there is: none"),
        (["--labels", "FILE", "--examples", "FILE"], "dog", "a picture, a tab and a label"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(
    mrag: Mrag, home: Path, tmp_path: Path, args: list[str], text: str, told: str
) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(text, "utf-8")
    done = mrag("tag", *(str(file) if one == "FILE" else one for one in args), at=home)
    assert done.code in {2, 3}
    assert told in done.err
    assert "Traceback" not in done.err
