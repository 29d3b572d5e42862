"""Nothing outside the folder that may be read can be reached, links included."""

from __future__ import annotations

from operator import length_hint
from pathlib import Path

import pytest

from corpus.records import CaptionRecord, Counted, ImageRecord, Record, Skipped
from engine.errors import InvalidInput, SourceError
from ingest.jobs.roots import check_links, inside, only_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "album" / "deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_bytes(b"secret")
    (tmp_path / "root-2").mkdir()
    return tmp_path / "root"


def test_what_lies_inside_is_found_however_it_is_spelt(root: Path) -> None:
    for path in ("album", "./album/deep/..", str(root / "album")):
        assert inside(root, Path(path)) == root / "album"
    assert inside(root, Path()) == root


@pytest.mark.parametrize(
    "path", ["..", "../outside", "../root-2", "/etc", "album/../../outside", "leak", "nul\0"]
)
def test_what_lies_outside_is_refused(root: Path, path: str) -> None:
    (root / "leak").symlink_to(root.parent / "outside")
    with pytest.raises(InvalidInput, match="MRAG_SOURCE_ROOT"):
        inside(root, Path(path))


def test_a_refusal_does_not_tell_what_exists(root: Path) -> None:
    told = []
    for path in (Path("../outside"), Path("../nowhere")):
        with pytest.raises(InvalidInput) as caught:
            inside(root, path)
        told.append(str(caught.value).replace(path.name, ""))
    assert told[0] == told[1]


def test_a_root_that_is_a_link_itself_is_fine(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").symlink_to(root)
    assert inside(tmp_path / "mount", Path("album")) == root / "album"


def test_links_within_are_fine_and_circles_end(root: Path) -> None:
    (root / "album" / "deep" / "up").symlink_to(root / "album")
    (root / "album" / "side").symlink_to(root)
    check_links(root, root / "album")


@pytest.mark.parametrize("target", ["outside", "outside/secret.png", "nowhere"])
def test_a_link_that_leads_out_is_named(root: Path, target: str) -> None:
    (root / "album" / "deep" / "leak.txt").symlink_to(root.parent / target)
    with pytest.raises(SourceError, match=r"leak\.txt is a link that leads out"):
        check_links(root, root / "album")


def test_a_link_that_leads_out_of_a_folder_linked_to_is_found(root: Path) -> None:
    (root / "other").mkdir()
    (root / "other" / "leak").symlink_to(root.parent / "outside")
    (root / "album" / "other").symlink_to(root / "other")
    with pytest.raises(SourceError, match="leads out"):
        check_links(root, root / "album")


def test_pictures_that_a_table_names_outside_are_skipped(root: Path) -> None:
    good = ImageRecord("a", "a", root / "album" / "a.png")
    bad = ImageRecord("b", "b", root / "album" / ".." / ".." / "outside" / "secret.png")
    words = CaptionRecord("a dog")
    given: list[Record] = [good, bad, words]
    found = list(only_inside(given, root))
    assert found == [good, Skipped("b", "lies outside the folder that may be read"), words]


def test_the_number_of_records_stays_known(root: Path) -> None:
    records = [ImageRecord(str(n), "", root / f"{n}.png") for n in range(5)]
    checked = only_inside(Counted(iter(records), lambda: 5), root)
    assert length_hint(checked) == 5
    next(checked)
    assert length_hint(checked) == 4
