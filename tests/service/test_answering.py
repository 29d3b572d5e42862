"""What the service answers over an engine, whoever asks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from engine.app import Engine, build_engine
from engine.describe.captioner import DescribeOptions
from engine.errors import CollectionMissing, InvalidInput, UnreadableImage
from engine.settings import Settings
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import (
    CaptionOptions,
    ComparisonAnswer,
    Description,
    Failure,
    SearchOptions,
)
from service.answering import LocalAnswers
from service.conversion import describe_options


@pytest.fixture
def answers(sample_engine: Engine) -> LocalAnswers:
    return LocalAnswers(sample_engine)


def named(path: Path) -> NamedPicture:
    return NamedPicture(path.name, path)


def first_id(answers: LocalAnswers) -> str:
    (found,) = answers.search(SearchOptions(text="a red circle", k=1))
    return found.hits[0].id


def test_the_defaults_are_the_programs() -> None:
    assert asdict(describe_options(CaptionOptions())) == asdict(DescribeOptions())


def test_pictures_are_described_in_their_order_and_the_bad_ones_are_named(
    answers: LocalAnswers, unknown_pictures: list[Path], tmp_path: Path
) -> None:
    good = unknown_pictures[:17]  # more than one batch
    bad = NamedPicture("bad.jpg", b"no picture")
    gone = NamedPicture("gone.jpg", tmp_path / "gone.jpg")
    given = [named(good[0]), bad, gone, *map(named, good[1:])]
    results = list(answers.caption(given, CaptionOptions(k=3, candidates=1)))
    assert [one.image for one in results] == [one.name for one in given]
    assert [type(one) for one in results[:4]] == [Description, Failure, Failure, Description]
    for failure in results[1:3]:
        assert isinstance(failure, Failure)
        assert failure.unreadable
        assert str(tmp_path) not in failure.error
        assert not failure.error.startswith(failure.image)
    assert all(isinstance(one, Description) and len(one.retrieved) == 3 for one in results[3:])


def test_a_stored_picture_is_described_without_its_file_or_its_own_captions(
    answers: LocalAnswers, sample_engine: Engine, unknown_pictures: list[Path]
) -> None:
    key = first_id(answers)
    (hit,) = sample_engine.open().images.get([key])

    def borrowed_from(own: bool) -> set[str]:
        options = CaptionOptions(k=6, own=own)
        given: list[GivenPicture] = [named(unknown_pictures[0]), StoredPicture(key)]
        _, described = answers.caption(given, options)
        assert isinstance(described, Description)
        assert described.image == key
        return {one.image_id for one in described.retrieved}

    assert hit.image_id in borrowed_from(own=True)
    assert hit.image_id not in borrowed_from(own=False)


def test_a_stored_picture_is_described_as_its_file_is(
    answers: LocalAnswers, sample_engine: Engine
) -> None:
    key = first_id(answers)
    (hit,) = sample_engine.open().images.get([key])
    given: list[GivenPicture] = [NamedPicture("file", Path(hit.uri)), StoredPicture(key)]
    of_file, stored = answers.caption(given, CaptionOptions())
    assert isinstance(of_file, Description)
    assert isinstance(stored, Description)
    assert [one.text for one in of_file.retrieved] == [one.text for one in stored.retrieved]
    assert stored.caption == of_file.caption


@pytest.mark.parametrize("key", ["no id", "00000000-0000-0000-0000-000000000000"])
def test_an_unknown_id_is_a_failure_of_its_own(answers: LocalAnswers, key: str) -> None:
    results = list(answers.caption([StoredPicture(key), StoredPicture(first_id(answers))],
                                   CaptionOptions(candidates=1)))  # fmt: skip
    assert isinstance(results[0], Failure)
    assert "has no picture with the id" in results[0].error
    assert isinstance(results[1], Description)


def test_an_unknown_collection_is_told_once(
    answers: LocalAnswers, unknown_pictures: list[Path]
) -> None:
    with pytest.raises(CollectionMissing, match="nothing"):
        list(answers.caption(map_named(unknown_pictures), CaptionOptions(), collection="nothing"))


def map_named(paths: list[Path]) -> list[NamedPicture]:
    return [named(path) for path in paths[:2]]


def test_a_search_answers_for_each_space(
    answers: LocalAnswers, sample_engine: Engine, unknown_pictures: list[Path]
) -> None:
    said = sample_engine.open().images.get([first_id(answers)])[0].captions[0]
    options = SearchOptions(text=said, spaces=("words", "raw"), k=4, splits=("train",))
    found = answers.search(options, image=named(unknown_pictures[0]))
    assert [one.space for one in found] == ["words", "raw"]
    assert {len(one.hits) for one in found} == {4}
    uri = found[0].hits[0].uri
    assert Path(uri).is_file()
    (told,) = LocalAnswers(sample_engine, paths=False).search(SearchOptions(text="a red circle"))
    assert all("/" not in hit.uri for hit in told.hits)
    assert not answers.search(SearchOptions(text="red", splits=("test",)))[0].hits


def test_best_is_where_the_collection_was_measured_to_answer_words(
    answers: LocalAnswers, sample_engine: Engine, unknown_pictures: list[Path]
) -> None:
    measured = sample_engine.open().default_space().space
    assert measured == "fused"  # words of captions tell these pictures apart

    def spaces(options: SearchOptions, picture: NamedPicture | None = None) -> list[str]:
        return [one.space for one in answers.search(options, image=picture)]

    picture = named(unknown_pictures[0])
    assert spaces(SearchOptions(text="a red circle")) == [measured]
    assert spaces(SearchOptions(text="red", spaces=("best", "raw", "fused"))) == ["fused", "raw"]
    assert spaces(SearchOptions(text="a red circle", min_score=0.1)) == ["mapped"]
    assert spaces(SearchOptions(), picture) == spaces(SearchOptions(likes=(first_id(answers),)))
    assert spaces(SearchOptions(), picture) == ["mapped"]


def test_a_search_without_a_query_or_a_readable_picture_is_refused(answers: LocalAnswers) -> None:
    with pytest.raises(InvalidInput, match="the query is empty"):
        answers.search(SearchOptions())
    with pytest.raises(UnreadableImage, match=r"^bad\.jpg: "):
        answers.search(SearchOptions(), image=NamedPicture("bad.jpg", b"no picture"))


def test_files_and_stored_pictures_are_compared_alike(
    answers: LocalAnswers, sample_engine: Engine
) -> None:
    key = first_id(answers)
    (hit,) = sample_engine.open().images.get([key])
    given: list[GivenPicture] = [
        NamedPicture("file", Path(hit.uri)),
        StoredPicture(key),
        StoredPicture("nothing"),
    ]
    of_file, stored, unknown = answers.compare(given, 3)
    assert isinstance(of_file, ComparisonAnswer)
    assert isinstance(stored, ComparisonAnswer)
    assert isinstance(unknown, Failure)
    assert stored.truth == of_file.truth
    assert stored.truth is not None
    assert [one.text for one in stored.mapped] == [one.text for one in of_file.mapped]


def test_collections_are_told_and_a_broken_one_hides_no_other(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, profile="sample", qdrant_url="")
    engine = build_engine(settings)
    (tmp_path / "collections" / "broken").mkdir(parents=True)
    (tmp_path / "collections" / "broken" / "collection.json").write_text("{")
    answers = LocalAnswers(engine)
    (told,) = answers.collections()
    assert told.broken
    assert "cannot be read" in told.trouble
    answers.delete("broken")
    assert answers.collections() == []
    with pytest.raises(CollectionMissing):
        answers.delete("broken")


def test_a_collection_says_where_it_lies_only_to_those_who_may_know(
    answers: LocalAnswers, sample_engine: Engine, sample_home: Path
) -> None:
    (told,) = answers.collections()
    assert (told.collection, told.images, told.broken) == ("plain", 24, False)
    assert told.path == str(sample_home / "collections" / "plain")
    (hidden,) = LocalAnswers(sample_engine, paths=False).collections()
    assert hidden.path == ""
    assert "/" not in hidden.generator
    assert str(sample_home) not in hidden.model_dump_json()


def test_filters_alone_find_pictures_by_date(answers: LocalAnswers) -> None:
    (found,) = answers.search(SearchOptions(text="split:train", k=5, spaces=("raw", "mapped")))
    assert (found.query, found.space) == ("split:train", "date")
    (rest,) = answers.search(SearchOptions(text="split:train", k=100, offset=5))
    assert len({hit.id for hit in (*found.hits, *rest.hits)}) == 24
    (everything,) = answers.search(SearchOptions(sort="oldest", k=100))
    assert len(everything.hits) == 24
    with pytest.raises(InvalidInput, match="empty"):
        answers.search(SearchOptions())
    with pytest.raises(InvalidInput, match="says what to leave out"):
        answers.search(SearchOptions(text="-cat split:train"))


def test_nothing_is_found_for_a_name_that_nothing_has_which_is_told(answers: LocalAnswers) -> None:
    for text in ("tag:sea", "a cat tag:sea"):
        (found,) = answers.search(SearchOptions(text=text))
        assert not found.hits
        assert found.hints == ("no picture here has tag:sea; there is none with tag:",)
    (found,) = answers.search(SearchOptions(text="a cat", splits=("no",)))
    assert found.hints == ("no picture here has split:no; there is split:train",)


def test_a_phrase_must_occur(answers: LocalAnswers, sample_engine: Engine) -> None:
    said = sample_engine.open().images.get([first_id(answers)])[0].captions[0]
    (found,) = answers.search(SearchOptions(text=f'"{said}"', k=100))
    pictures = sample_engine.open().images.get([hit.id for hit in found.hits])
    assert 0 < len(pictures) < 24
    assert all(any(said in caption for caption in one.captions) for one in pictures)


def test_what_can_be_filtered_by_is_counted_under_the_filters(answers: LocalAnswers) -> None:
    everything = answers.facets(SearchOptions())
    assert everything.pictures == 24
    assert everything.values["split"] == {"train": 24}
    assert set(everything.values) == {
        *("camera", "lens", "place", "tag", "label", "split", "by", "ext")
    }
    some = answers.facets(SearchOptions(text="a dog -split:train"))
    assert (some.query, some.pictures) == ("a dog -split:train", 0)
    assert not any(some.values.values())
