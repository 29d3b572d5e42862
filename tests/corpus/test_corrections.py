from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from corpus.compaction import compact
from corpus.corrected import history
from corpus.corrections import (
    MOST,
    Correction,
    checked_text,
    correction_of,
    forget_waiting,
    keep_waiting,
    stands,
    waiting,
    write_corrections,
)
from corpus.described import Described
from corpus.ledger import Ledger, forget_ledger
from corpus.reading import read_captions, read_examples
from corpus.verification import check_corpus, mend_corpus
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import DiskFull, InvalidInput
from tests.corpus.making import DIM, contents, describe, entry, halves, sha256_of, write


@pytest.fixture
def folder(tmp_path: Path) -> CollectionFolder:
    folder = CollectionFolder(tmp_path, "noise")
    folder.write_card(CollectionCard("noise", "spec", "encoder", DIM, "consensus"))
    return folder


def said(label: str, text: str, **more: str) -> Correction:
    return correction_of(sha256_of(label), "edited", text, replaced="", who="Ada", **more)


def undone(one: Correction) -> Correction:
    return correction_of(one.sha256, "undone", replaced=one.text, who="Ada", undoes=one.id)


def keep(folder: CollectionFolder, number: int, made: Sequence[Correction], commit: int) -> None:
    write_corrections(
        folder.corrections,
        number,
        made,
        halves(len(made)),
        commits=[commit] * len(made),
        encoder_id="encoder",
    )


def texts(folder: CollectionFolder) -> dict[str, tuple[str, ...]]:
    """What is said of each captioned picture, once who writes has seen it."""
    Ledger.open(folder).close()
    found = read_examples(folder)
    return dict(zip(found.image_ids, found.references, strict=True))


def test_a_correction_is_a_picture_s_first_caption(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a"), entry("b", "b1", "b2")]))
    describe(folder.generated, 0, [Described(sha256_of("a"), "made up")], commit=2)
    keep(folder, 0, [said("a", "right"), said("b", "better")], commit=3)
    assert texts(folder) == {"a": ("right",), "b": ("better", "b1", "b2")}
    assert set(read_captions(folder).texts) == {"right", "better", "b1", "b2"}
    with Ledger.open(folder) as ledger:
        assert (ledger.captions(), ledger.indexed_captions()) == (4, 4)
        assert ledger.undescribed() == 0
        assert ledger.census().pairs == 2
        assert [live.pictures for _, live in ledger.changed(2)] == [[0, 1]]


def test_a_correction_that_says_what_is_said_is_no_caption_more(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("b", "b1", "b2")]))
    keep(folder, 0, [said("b", "b2")], commit=2)
    assert texts(folder) == {"b": ("b2", "b1")}
    with Ledger.open(folder) as ledger:
        assert ledger.captions() == ledger.indexed_captions() == 2


def test_its_source_may_come_to_say_what_a_correction_said(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("b")]))
    keep(folder, 0, [said("b", "right")], commit=2)
    Ledger.open(folder).close()
    write(folder.embeddings, 1, contents([entry("b", "right", "more")]), commit=3)
    with Ledger.open(folder) as ledger:
        assert ledger.captions() == 2
        with Ledger.made_anew(folder) as anew:
            assert not ledger.differs_from(anew)
    assert texts(folder) == {"b": ("right", "more")}


def test_an_undo_brings_back_what_was_before(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a"), entry("b", "b1")]))
    describe(folder.generated, 0, [Described(sha256_of("a"), "made up")], commit=2)
    first, second = said("a", "first"), said("a", "second")
    with Ledger.open(folder) as ledger:
        untouched = (ledger.captions(), ledger.indexed_captions(), ledger.census())
    keep(folder, 0, [first], commit=3)
    keep(folder, 1, [second], commit=4)
    keep(folder, 2, [undone(second)], commit=5)
    assert texts(folder)["a"] == ("first",)
    keep(folder, 3, [undone(first)], commit=6)
    assert texts(folder) == {"b": ("b1",)}
    with Ledger.open(folder) as ledger:
        assert (ledger.captions(), ledger.indexed_captions(), ledger.census()) == untouched
        assert [one.row for one in ledger.generated_in(0)] == [0]
        told = history(ledger.corrected, ledger.corrections(), sha256_of("a"))
        assert [one.kind for one in told] == ["edited", "edited", "undone", "undone"]


def test_a_picture_that_comes_back_or_is_embedded_again_is_still_corrected(
    folder: CollectionFolder,
) -> None:
    write(folder.embeddings, 0, contents([entry("a"), entry("b")]))
    keep(folder, 0, [said("a", "right")], commit=2)
    Ledger.open(folder).close()
    write(folder.embeddings, 1, contents(withdrawn=[sha256_of("a")]), commit=3)
    with Ledger.open(folder) as ledger:
        assert ledger.captions() == 0
    write(folder.embeddings, 2, contents([entry("a", "by its source")]), commit=4)
    assert texts(folder) == {"a": ("right", "by its source")}


def test_the_ledger_knows_them_in_whatever_order_they_come(folder: CollectionFolder) -> None:
    first, second = said("a", "first"), said("a", "second")
    steps: list[Callable[[], object]] = [
        lambda: write(folder.embeddings, 0, contents([entry("a", "of its source")]), commit=1),
        lambda: keep(folder, 0, [first, second], commit=2),
        lambda: keep(folder, 1, [undone(second)], commit=3),
    ]
    for order in permutations(range(3)):
        for place in (folder.embeddings, folder.corrections):
            for path in place.glob("shard*"):
                path.unlink()
        forget_ledger(folder)
        for at in order:
            steps[at]()
            Ledger.open(folder).close()
        assert texts(folder) == {"a": ("first", "of its source")}


def test_compaction_puts_corrections_together_and_loses_none(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a"), entry("b", "b1")]))
    made = [said("a", "one"), said("b", "two"), said("a", "three")]
    for at, one in enumerate(made):
        keep(folder, at, [one], commit=2 + at)
    before, vectors = texts(folder), read_examples(folder).captions
    compact(folder, pushed=99)
    assert len(list(folder.corrections.glob("shard*"))) == 1
    assert texts(folder) == before
    assert (read_examples(folder).captions == vectors).all()
    with Ledger.open(folder) as ledger:
        told = history(ledger.corrected, ledger.corrections(), sha256_of("a"))
        assert [one.text for one in told] == ["one", "three"]
        assert not list(ledger.changed(4))  # nothing is pushed again for it
    assert all(finding.ok for finding in check_corpus(folder))


def test_a_damaged_shard_of_corrections_is_named_and_set_aside(folder: CollectionFolder) -> None:
    write(folder.embeddings, 0, contents([entry("a")]))
    keep(folder, 0, [said("a", "right")], commit=2)
    (path,) = folder.corrections.glob("shard*")
    path.write_bytes(path.read_bytes()[:-40])
    assert str(path) in check_corpus(folder)[0].detail
    (aside,) = mend_corpus(folder)
    assert aside.parent == folder.corrections
    with Ledger.open(folder) as ledger:
        assert ledger.captions() == 0


def test_what_waits_is_kept_in_the_order_in_which_it_was_said(folder: CollectionFolder) -> None:
    made = [said("a", f"text {at}") for at in range(5)]
    for one in reversed(made):
        keep_waiting(folder.corrections, one)
    (folder.corrections / "waiting" / "half.json").write_text('{"id": "x"')
    assert waiting(folder.corrections) == made
    forget_waiting(folder.corrections, made[:3])
    assert waiting(folder.corrections) == made[3:]


def test_a_full_disk_refuses_a_correction_and_loses_nothing(
    folder: CollectionFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_waiting(folder.corrections, said("a", "kept"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.files.os.fsync", full)
    with pytest.raises(DiskFull):
        keep_waiting(folder.corrections, said("a", "lost"))
    assert [one.text for one in waiting(folder.corrections)] == ["kept"]


def test_the_last_word_stands_whoever_undoes_what() -> None:
    one, two = said("a", "one"), said("a", "two")
    assert stands([]) is None
    assert stands([one, two]) == two
    assert stands([one, two, undone(one)]) == two
    assert stands([one, two, undone(two), undone(two)]) == one
    assert stands([one, undone(one), said("a", "three")]) is not None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (" two\n herons\t", "two herons"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("ein Bild, 犬", "ein Bild, 犬"),
    ],
)
def test_a_text_is_kept_as_it_is_on_one_line(given: str, told: str) -> None:
    assert checked_text(given) == told


@pytest.mark.parametrize(
    "text", ["", "  \n", "...", "\0", "\u200b", "a" * (MOST + 1), "half \ud83d"]
)
def test_what_says_nothing_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_text(text)
