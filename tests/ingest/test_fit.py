from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest

from corpus.ledger import Ledger
from corpus.pairs import FOLDS, gather, read_distractors
from corpus.records import CaptionRecord, ImageRecord, Record
from engine.alignment.alignment import Alignment, PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import AlignmentError, CollectionMissing, IncompatibleIndex, InvalidInput
from engine.identity import PictureIdentity, content_number
from engine.identity import Pictures as Known
from engine.progress import Cancellation, Cancelled, silent
from engine.sampling import HashSample
from engine.settings import Settings
from ingest.embed import EmbedOptions, embed
from ingest.fit import ENOUGH, fit, fit_if_needed

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]
Run = Callable[..., None]


@pytest.fixture
def run(folder: CollectionFolder, card: CollectionCard, encoder: PixelEncoder) -> Run:
    del card

    def run(records: list[Record], *, shard_size: int = 16) -> None:
        embed(records, encoder, folder, EmbedOptions(batch_size=8, shard_size=shard_size))

    return run


@pytest.fixture
def memory(settings: Settings, encoder: PixelEncoder) -> CollectionFolder:
    folder = CollectionFolder(settings.home, "memory")
    folder.write_card(CollectionCard("memory", "spec", encoder.id, encoder.dim, "consensus"))
    return folder


def captions(n: int) -> list[Record]:
    return [CaptionRecord(f"text {i}") for i in range(n)]


def by_hand(encoder: PixelEncoder, records: list[ImageRecord]) -> PairMoments:
    from PIL import Image

    moments = PairMoments(encoder.dim)
    for record in records:
        with Image.open(record.path) as image:
            vector = encoder.encode_images([image])
        texts = encoder.encode_texts(list(record.captions))
        moments.update(np.repeat(vector, len(texts), axis=0), texts)
    return moments


def test_pictures_that_are_passed_over_leave_no_trace_in_the_moments(
    run: Run, folder: CollectionFolder, pictures: Pictures, encoder: PixelEncoder
) -> None:
    records = pictures(20, captions=2)
    run(records)
    contents = [sha256(record.path.read_bytes()).hexdigest() for record in records]
    # By what they are: that nothing else bears such a name changes nothing.
    held_out = Known(PictureIdentity(one, frozenset({"else"})) for one in contents[5:12])
    with Ledger.open(folder) as ledger:
        gathered = gather(folder, ledger, encoder.dim, silent, without=held_out)
    without = gathered.total()
    rest = by_hand(encoder, [*records[:5], *records[12:]])
    assert (without.n, gathered.passed_over) == (26, 7)
    others = {content_number(one) for one in [*contents[:5], *contents[12:]]}
    assert set(without.pictures.tolist()) == others
    np.testing.assert_allclose(without.image_text, rest.image_text, atol=0.05)


def test_the_moments_are_those_of_all_training_pairs(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
) -> None:
    train = pictures(40, captions=3, split="train")
    held_out = pictures(10, captions=3, first=50, split="test")
    val = pictures(10, captions=3, first=70, split="val")
    run([*train, *held_out, *val, *pictures(5, first=90)])
    alignment = fit(folder, card)
    expected = by_hand(encoder, train)
    saved = PairMoments.load(folder.moments)
    assert alignment.n == saved.n == 120
    np.testing.assert_allclose(saved.image_image, expected.image_image, atol=0.05)
    np.testing.assert_allclose(saved.image_text, expected.image_text, atol=0.05)
    assert alignment.encoder_id == encoder.id
    assert alignment.choices
    assert Alignment.load(folder.alignment).fingerprint == alignment.fingerprint


def test_the_map_does_not_depend_on_shards_or_order(
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    records = pictures(60, captions=2)
    embed(records, encoder, folder, EmbedOptions(batch_size=8, shard_size=8))
    embed(records[::-1], encoder, memory, EmbedOptions(batch_size=3, shard_size=50))
    first, second = fit(folder, card), fit(memory, memory.read_card())
    assert [choice.method for choice in first.choices] == [c.method for c in second.choices]
    for one, other in zip(first.choices, second.choices, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)
    np.testing.assert_allclose(first.mean_text, second.mean_text, atol=1e-6)


def test_superseded_pairs_do_not_count(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    records = pictures(30, captions=2)
    run(records)
    records[4] = replace(records[4], captions=("only one",))
    run(records)
    assert fit(folder, card).n == 59


def test_folds_are_even_and_keep_their_pictures_as_more_come(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(150, captions=1))

    def sizes() -> list[float]:
        with Ledger.open(folder) as ledger:
            return [fold.moments.n for fold in gather(folder, ledger, card.dim, silent).folds()]

    first = sizes()
    assert len(first) == FOLDS
    assert all(15 <= size <= 45 for size in first)
    run(pictures(150, first=150, captions=1))
    assert all(grown >= size for grown, size in zip(sizes(), first, strict=True))


def test_folds_sum_to_all_pairs_and_samples_are_bounded(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30, captions=2))
    with Ledger.open(folder) as ledger:
        gathered = gather(folder, ledger, card.dim, silent)
    assert sum(fold.moments.n for fold in gathered.folds()) == gathered.total().n == 60
    assert sum(len(fold.images) for fold in gathered.folds()) == 30
    sample = HashSample(3, 2, 2)
    for hashes in ([9, 5, 7], [1, 8], [6]):
        rows = np.array([[hash_, 0] for hash_ in hashes], np.float32)
        sample.update(np.array(hashes, np.uint64), rows, rows)
    assert [column[:, 0].tolist() for column in sample.columns] == [[1, 5, 6], [1, 5, 6]]


def test_it_stops_between_two_steps_without_a_word_of_progress(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    stop = Cancellation()
    records = pictures(6, captions=1)
    with stop.watched():
        run(records[:3])
    stop.ask()
    with stop.watched(), pytest.raises(Cancelled):
        run(records)
    with Ledger.open(folder) as ledger, stop.watched(), pytest.raises(Cancelled):
        gather(folder, ledger, card.dim, silent)
    run(records)


def test_a_method_that_is_asked_for_is_fitted(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(10, captions=2))
    alignment = fit(folder, card, method="ridge", strength=0.1)
    assert (alignment.method, alignment.strength) == ("ridge", 0.1)


def test_one_pair_cannot_be_fitted_on(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(1, captions=1))
    with pytest.raises(AlignmentError, match="at least 2 pairs"):
        fit(folder, card, method="ols")


def test_few_pairs_are_not_trusted(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(ENOUGH - 1, captions=3))
    alignment = fit(folder, card)
    assert alignment.method == "raw"
    assert f"the mean of {ENOUGH - 1} pictures" in alignment.reason
    assert alignment.map_images(np.eye(card.dim, dtype=np.float32)[:1])[0, 0] == 1


def test_captions_alone_are_centred_and_wait_for_pictures(
    run: Run, folder: CollectionFolder, card: CollectionCard
) -> None:
    run(captions(40))
    alignment = fit(folder, card)
    assert (alignment.method, alignment.n_captions) == ("centred", 40)
    assert alignment.mean_image is None


def test_pictures_alone_stay_raw(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30))
    alignment = fit(folder, card)
    assert alignment.method == "raw"
    assert "0 captions" in alignment.reason
    assert alignment.map_images(np.eye(card.dim, dtype=np.float32)).shape == (card.dim, card.dim)


def test_a_memory_without_pairs_centres_by_unpaired_means(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    embed(captions(50), encoder, memory)
    fit(memory, memory.read_card())
    run(pictures(30))
    alignment = fit(folder, replace(card, memory="memory"))
    assert alignment.method == "centred"
    assert alignment.reason == "no pairs: centred by the means of 30 pictures and 50 captions"
    expected = encoder.encode_texts([f"text {i}" for i in range(50)]).mean(axis=0)
    np.testing.assert_allclose(alignment.mean_text, expected, atol=1e-3)
    assert (alignment.n_images, alignment.n_captions, alignment.n) == (30, 50, 0)


def test_a_memory_with_pairs_lends_its_map(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    embed(pictures(40, captions=2), encoder, memory)
    lent = fit(memory, memory.read_card(), method="shrink")
    run(pictures(10, first=60, captions=1))
    card = replace(card, memory="memory")
    alignment = fit(folder, card)
    assert alignment.fingerprint == lent.fingerprint
    assert alignment.source == "collection memory"
    run(pictures(40, first=60, captions=1))
    assert fit(folder, card).fingerprint == lent.fingerprint
    with pytest.raises(AlignmentError, match="would not fit"):
        fit(folder, card, method="ols")


def test_another_collections_map_is_taken_and_kept(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    embed(pictures(40, captions=2), encoder, memory)
    lent = fit(memory, memory.read_card())
    run(pictures(30, first=60, captions=2))
    assert fit_if_needed(folder, card, other="memory")[0].fingerprint == lent.fingerprint
    run(pictures(60, first=60, captions=2))
    kept, fitted = fit_if_needed(folder, card)
    assert (kept.fingerprint, fitted) == (lent.fingerprint, False)
    assert fit(folder, card).source == "collection noise"


def test_a_map_that_does_not_fit_is_refused(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    other_encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    run(captions(2))
    with pytest.raises(InvalidInput, match="its own map"):
        fit(folder, card, other=card.name)
    with pytest.raises(CollectionMissing, match="nowhere"):
        fit(folder, card, other="nowhere")
    with pytest.raises(CollectionMissing, match="mrag fit memory"):
        fit(folder, card, other="memory")
    embed(captions(30), other_encoder, memory)
    memory.write_card(replace(memory.read_card(), encoder_id=other_encoder.id))
    with pytest.raises(IncompatibleIndex, match="other pixels"):
        fit(folder, card, other="memory")


def test_a_captions_only_map_is_not_lent(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    encoder: PixelEncoder,
    memory: CollectionFolder,
) -> None:
    embed(captions(30), encoder, memory)
    fit(memory, memory.read_card())
    run(captions(2))
    with pytest.raises(AlignmentError, match="--memory memory"):
        fit(folder, card, other="memory")


def test_nothing_new_is_not_fitted_again(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    records = pictures(60, captions=1)
    run(records)
    first, fitted = fit_if_needed(folder, card)
    assert fitted
    again, fitted = fit_if_needed(folder, card)
    assert (again.fingerprint, fitted) == (first.fingerprint, False)
    run([*records, *pictures(2, first=100, captions=1), *pictures(9, first=200, split="test")])
    assert not fit_if_needed(folder, card)[1]
    run(pictures(20, first=100, captions=1))
    grown, fitted = fit_if_needed(folder, card)
    assert (grown.n, fitted) == (80, True)


def test_loose_captions_are_what_maps_are_told_apart_by(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    pictures: Pictures,
    encoder: PixelEncoder,
) -> None:
    """Those of the training splits, each text once, however they are read; the map is the same."""
    run(pictures(30, captions=2))
    alone = fit(folder, card, method="shrink", strength=1.0)
    assert "among 30 captions" in fit(folder, card).reason
    run([*captions(8), CaptionRecord("of a test picture", split="test")], shard_size=4)
    run([*captions(9), *pictures(5, first=60)])
    assert "among 39 captions" in fit(folder, card).reason
    assert fit(folder, card, method="shrink", strength=1.0).fingerprint == alone.fingerprint
    found = {tuple(row) for row in read_distractors(folder).round(2).tolist()}
    expected = encoder.encode_texts([f"text {i}" for i in range(9)])
    assert found == {tuple(row) for row in expected.round(2).tolist()}
    with Ledger.open(folder) as ledger:
        gathered = gather(folder, ledger, card.dim, silent)
    np.testing.assert_array_equal(gathered.distractors.captions, read_distractors(folder))


def test_the_map_is_chosen_anew_when_there_is_much_more_to_choose_it_among(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30, captions=1))
    fit(folder, card)
    run(captions(20))
    assert fit_if_needed(folder, card)[1]
    run(captions(40))
    assert not fit_if_needed(folder, card)[1]
    run(captions(41))
    alignment, fitted = fit_if_needed(folder, card)
    assert fitted
    assert "among 71 captions" in alignment.reason


def test_changed_captions_count_as_drift(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    records = pictures(40, captions=1)
    run(records)
    fit(folder, card)
    run([replace(record, captions=("new",)) for record in records])
    assert fit_if_needed(folder, card)[1]


def test_a_method_once_asked_for_stays(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30, captions=1))
    fit(folder, card, method="ridge", strength=2.0)
    kept, fitted = fit_if_needed(folder, card)
    assert (kept.method, fitted) == ("ridge", False)
    run(pictures(60, captions=1))
    grown, fitted = fit_if_needed(folder, card)
    assert (grown.method, grown.strength, fitted) == ("ridge", 2.0, True)
    assert fit_if_needed(folder, card, method="procrustes")[0].method == "procrustes"


def test_a_lost_or_foreign_map_is_fitted_again(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30, captions=1))
    first = fit(folder, card)
    folder.alignment.unlink()
    again, fitted = fit_if_needed(folder, card)
    assert (again.fingerprint, fitted) == (first.fingerprint, True)


def test_a_damaged_map_is_fitted_again(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run(pictures(30, captions=1))
    first = fit(folder, card)
    folder.alignment.write_bytes(folder.alignment.read_bytes()[:100])
    again, fitted = fit_if_needed(folder, card)
    assert (again.fingerprint, fitted) == (first.fingerprint, True)


def test_pairs_add_up_to_the_same_in_portions_of_any_size(
    run: Run, folder: CollectionFolder, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pictures(40, captions=2), shard_size=7)
    found = []
    for portion in (1, 9, 10**6):
        monkeypatch.setattr("corpus.pairs._PORTION", portion)
        with Ledger.read(folder) as ledger:
            gathered = gather(folder, ledger, folder.read_card().dim)
        assert sum(moments.n for moments in gathered.moments) == gathered.captions.n == 80
        found.append(gathered.total())
    for moments in found[1:]:
        np.testing.assert_array_equal(moments.pictures, found[0].pictures)
        np.testing.assert_allclose(moments.image_image, found[0].image_image, atol=1e-12)
        np.testing.assert_allclose(moments.image_text, found[0].image_text, atol=1e-5)


def test_a_bank_is_of_the_collections_own_as_far_as_it_has_enough(
    run: Run,
    folder: CollectionFolder,
    card: CollectionCard,
    memory: CollectionFolder,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    lender = [*pictures(30, captions=1, first=100), *captions(40)]
    embed(lender, encoder, memory, EmbedOptions())
    lent = fit(memory, memory.read_card()).bank
    assert lent is not None
    assert (len(lent.pictures), len(lent.captions)) == (30, 70)
    borrower = replace(card, memory="memory")
    run([*pictures(ENOUGH - 1)])
    few = fit(folder, borrower).bank
    assert few is not None
    assert set(few.picture_owners) == set(lent.picture_owners)
    run([*pictures(ENOUGH)])
    own = fit(folder, borrower)
    assert own.bank is not None
    with Ledger.open(folder) as ledger:
        there = gather(folder, ledger, encoder.dim).bank
    assert set(own.bank.picture_owners) == set(there.picture_owners)
    assert len(own.bank.pictures) == ENOUGH
    assert set(own.bank.caption_owners) == set(lent.caption_owners)
    taken = fit(folder, card, other="memory")
    assert taken.bank is not None
    assert set(taken.bank.picture_owners) == set(there.picture_owners)
    assert taken.hub_strength == Alignment.load(memory.alignment).hub_strength


def test_a_map_from_before_there_were_banks_is_fitted_again(
    run: Run, folder: CollectionFolder, card: CollectionCard, pictures: Pictures
) -> None:
    run([*pictures(30, captions=1)])
    known = fit(folder, card)
    asked = {key: value for key, value in known.fitted_on["request"].items() if key != "hubs"}
    earlier = replace(known, bank=None, fitted_on={**known.fitted_on, "request": asked})
    earlier.save(folder.alignment)
    made, fitted = fit_if_needed(folder, card)
    assert fitted
    assert made.bank is not None
    assert not fit_if_needed(folder, card)[1]
