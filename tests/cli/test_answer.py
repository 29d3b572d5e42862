"""caption, search and compare: their answers, their JSON, and what bad input does to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import PACK, Run, call


def test_a_caption_has_the_promised_keys(mrag: Run, held_out: list[Path]) -> None:
    done = mrag("caption", held_out[0], "-n", "2", "-k", "3", "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    keys = {
        "image",
        "caption",
        "candidates",
        "retrieved",
        "space",
        "timings_ms",
        "made_with",
        "trace",
        "reranked",
    }
    assert set(answer) == keys
    assert answer["image"] == str(held_out[0])
    assert answer["space"] == "mapped"
    assert answer["caption"] == max(answer["candidates"], key=lambda c: c["score"])["text"]
    assert len(answer["retrieved"]) == 3
    assert set(answer["retrieved"][0]) == {"text", "score", "image_id"}
    assert answer["timings_ms"]["generate"] > 0


def test_a_retrieved_caption_may_be_chosen_for_its_agreement(
    mrag: Run, held_out: list[Path]
) -> None:
    options = ("--space", "fused", "--diversity", "0.2", "--consensus", "1", "--borrow")
    done = mrag("caption", held_out[0], *options, "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert answer["space"] == "fused"
    written = [candidate["text"] for candidate in answer["candidates"]]
    assert {hit["text"] for hit in answer["retrieved"]} <= set(written)
    assert answer["caption"] in written


def test_a_picture_of_the_collection_borrows_its_own_captions_only_with_own(mrag: Run) -> None:
    known = PACK / "plain" / "images" / "000.webp"

    def borrowed_from(*options: str) -> set[str]:
        (answer,) = mrag("caption", known, "-k", "6", *options, "--json").answers
        return {Path(hit["image_id"]).name for hit in answer["retrieved"]}

    assert known.name not in borrowed_from()
    assert known.name in borrowed_from("--own")


def test_a_picture_of_which_nothing_can_be_said_spoils_no_other(
    mrag: Run, held_out: list[Path], tmp_path: Path
) -> None:
    """The only captions of the collection are the picture's own."""
    table = PACK / "plain" / "captions.jsonl"
    options = ("-c", "one", "--limit", "1", "--profile", "sample", "--generator", "consensus")
    assert mrag("ingest", table, *options, at=tmp_path).code == 0
    alone = PACK / "plain" / json.loads(table.read_text().splitlines()[0])["image"]
    done = mrag("caption", held_out[0], alone, held_out[1], "--json", at=tmp_path)
    assert done.code == 1
    assert [answer["image"] for answer in done.answers] == [str(held_out[0]), str(held_out[1])]
    assert f"{alone}: there are no captions of other pictures" in done.err
    assert mrag("caption", alone, at=tmp_path).code == 3
    assert mrag("caption", alone, "--own", at=tmp_path).code == 0


def test_bad_pictures_are_named_and_the_others_described(
    mrag: Run, held_out: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    done = mrag("caption", held_out[0], text, empty, tmp_path / "gone.jpg", held_out[1], "--json")
    assert done.code == 1
    assert [answer["image"] for answer in done.answers] == [str(held_out[0]), str(held_out[1])]
    for bad in ("text.jpg", "empty.png", "gone.jpg"):
        assert bad in done.err
    assert "Traceback" not in done.err


def test_a_caption_for_people_shows_what_it_was_made_of(mrag: Run, held_out: list[Path]) -> None:
    done = mrag("caption", held_out[0])
    assert done.code == 0
    assert held_out[0].name in done.out
    assert "retrieved in the mapped space" in done.out


@pytest.mark.parametrize("space", ["raw", "mapped", "caption", "words", "fused"])
def test_search_answers_in_every_space(mrag: Run, space: str) -> None:
    done = mrag("search", "a dog", "--space", space, "-k", "3", "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert answer["query"] == "a dog"
    assert answer["space"] == space
    assert all({"id", "uri", "score", "caption", "chance"} <= set(hit) for hit in answer["hits"])
    assert (answer["likely"] is None) == (space == "raw")
    above = answer["likely"] or 0
    for part in (answer["hits"][:above], answer["hits"][above:]):
        scores = [hit["score"] for hit in part]
        assert scores == sorted(scores, reverse=True)
    assert all(Path(hit["uri"]).is_file() for hit in answer["hits"])


def test_a_picture_in_the_collection_finds_itself(mrag: Run) -> None:
    own = PACK / "plain" / "images" / "000.webp"
    done = mrag("search", "--image", own, "--space", "raw", "-k", "1", "--json")
    (hit,) = done.answers[0]["hits"]
    assert Path(hit["uri"]).name == "000.webp"
    assert hit["score"] == pytest.approx(1, abs=2e-3)


def test_a_line_stands_below_what_is_likely(mrag: Run) -> None:
    done = mrag("search", "snow", "--space", "fused", "-k", "30")
    assert done.code == 0, done.err
    above, below = done.out.split("── less likely ──")
    assert above.count("snow") >= 1
    assert below.strip()
    (answer,) = mrag("search", "snow", "--space", "fused", "-k", "30", "--json").answers
    (alone,) = mrag("search", "snow", "--space", "fused", "-k", "30", "--likely", "--json").answers
    assert 0 < answer["likely"] < 30
    assert alone["hits"] == answer["hits"][: answer["likely"]]


def test_what_is_not_there_is_said_not_to_be(mrag: Run) -> None:
    done = mrag("search", "a spaceship", "--space", "mapped", "-k", "3")
    assert "nothing here is likely what was asked for" in done.err
    assert done.out.count("── less likely ──") == 1
    done = mrag("search", "a spaceship", "--space", "mapped", "--likely")
    assert done.code == 0
    assert "nothing here is likely what was asked for" in done.err


def test_a_least_score_leaves_out_what_scores_less(mrag: Run) -> None:
    (usual,) = mrag("search", "a dog", "--space", "mapped", "--json").answers
    least = usual["hits"][3]["score"]
    (answer,) = mrag("search", "a dog", "--min-score", str(least), "--json").answers
    assert answer["space"] == "mapped"  # as the scores of the best one here are no cosines
    by_score = sorted(usual["hits"], key=lambda hit: -hit["score"])
    kept = [hit["id"] for hit in by_score if hit["score"] >= least]
    assert [hit["id"] for hit in answer["hits"]][: len(kept)] == kept
    assert answer["likely"] is None  # what a cut of one's own leaves has no line in it
    done = mrag("search", "a dog", "--min-score", "0.5", "--space", "words")
    assert done.code == 2
    assert "raw, mapped, caption" in done.err


def test_more_like_a_found_picture(mrag: Run) -> None:
    found = mrag("search", "a dog", "-k", "1", "--json").answers[0]["hits"][0]["id"]
    done = mrag("search", "--like", found, "--json")
    assert done.code == 0, done.err
    assert done.answers[0]["query"] == f"like:{found}"
    assert len(done.answers[0]["hits"]) == 10
    assert found not in [hit["id"] for hit in done.answers[0]["hits"]]
    done = mrag("search", "--like", "nonsense")
    assert done.code == 2
    assert "no picture with the id 'nonsense'" in done.err


def test_more_like_these_not_those(mrag: Run) -> None:
    hits = mrag("search", "a dog", "-k", "3", "--json").answers[0]["hits"]
    like, also, unlike = (hit["id"] for hit in hits)
    done = mrag("search", "--like", like, "--like", also, "--unlike", unlike, "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert answer["query"] == f"like:{like} like:{also} -like:{unlike}"
    assert not {like, also, unlike} & {hit["id"] for hit in answer["hits"]}


def test_search_for_people_shows_raw_beside_mapped(mrag: Run) -> None:
    done = mrag("search", "a dog", "-k", "2")
    assert done.code == 0
    assert "raw" in done.out
    assert "mapped" in done.out


def test_compare_has_the_promised_keys(mrag: Run, held_out: list[Path]) -> None:
    done = mrag("compare", held_out[0], "-k", "4", "--json")
    (answer,) = done.answers
    assert set(answer) == {"image", "raw", "mapped", "overlap", "rbo", "truth", "timings_ms"}
    shared = {hit["text"] for hit in answer["raw"]} & {hit["text"] for hit in answer["mapped"]}
    assert answer["overlap"] == pytest.approx(len(shared) / 4)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["search", " "], "empty"),
        (["search", "dog", "-k", "0"], "-k"),
        (["search", "dog", "--space", "nowhere"], "--space"),
        (["caption"], "IMAGE"),
        (["caption", "x.jpg", "--prompt", "no slot"], "{captions}"),
        (["search", "dog", "-c", "../escape"], "not allowed"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what(mrag: Run, args: list[str], word: str) -> None:
    done = mrag(*args)
    assert done.code == 2
    assert word in done.err
    assert not done.out


def test_a_missing_collection_ends_with_3_and_the_remedy(mrag: Run, tmp_path: Path) -> None:
    for args in (("search", "dog"), ("search", "dog", "-c", "none")):
        done = mrag(*args, at=tmp_path)
        assert done.code == 3
        assert "mrag ingest" in done.err


def test_a_missing_model_ends_with_3_and_the_remedy(mrag: Run, held_out: list[Path]) -> None:
    done = mrag("caption", held_out[0], "--generator", "nobody/has-this")
    assert done.code == 3
    assert "nobody/has-this" in done.err
    assert "Traceback" not in done.err


def test_another_encoder_is_refused(mrag: Run, tmp_path: Path) -> None:
    done = mrag("search", "dog", "--encoder", f"local-dir:{tmp_path}")
    assert done.code in {2, 3}
    assert str(tmp_path) in done.err


def test_as_a_process_stdout_is_json_only_and_debug_shows_the_traceback(home: Path) -> None:
    done = call(home, "--debug", "search", "dog", "-c", "none", "--json")
    assert done.code == 3
    assert not done.out
    assert "Traceback" in done.err


def test_no_file_name_can_steer_the_terminal(
    mrag: Run, held_out: list[Path], tmp_path: Path
) -> None:
    odd = tmp_path / "\x1b[31m[bold]red.webp"
    odd.write_bytes(held_out[0].read_bytes())
    done = mrag("caption", odd)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[bold]red.webp" in done.out


def test_a_search_is_read_in_its_language(mrag: Run) -> None:
    found = mrag("search", 'a dog -"red car" 2:snow +night', "--space", "raw", "--json").answers[0]
    beside = ("--plus", "night", "--minus", "red car", "--space", "raw", "--json")
    same = mrag("search", "a dog 2:snow", *beside).answers[0]
    assert found["hits"] == same["hits"]
    assert found["query"] == 'a dog -"red car" 2:snow +night'
    assert same["query"] == 'a dog 2:snow +night -"red car"'
    literal = mrag("search", "a dog", "--space", "raw", "--json").answers[0]
    assert found["hits"] != literal["hits"]


def test_filters_of_the_text_and_of_options_count_together(mrag: Run) -> None:
    assert mrag("search", "dog split:train", "--json", "-k", "3").answers[0]["hits"]
    assert not mrag("search", "dog -split:train", "--json").answers[0]["hits"]
    assert not mrag("search", "dog split:val", "--json").answers[0]["hits"]
    done = mrag("search", "dog split:val", "--split", "train", "--json", "-k", "3")
    assert done.answers[0]["query"] == "dog split:val split:train"
    assert done.answers[0]["hits"]


def test_what_cannot_be_read_is_marked_under_what_was_typed(mrag: Run) -> None:
    done = mrag("search", "犬 +snow camera: Canon")
    told, typed, mark = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert told.startswith("mrag: at character 9 of the search: after camera: comes a camera")
    assert typed == "  犬 +snow camera: Canon"
    assert mark == "   " + " " * len("犬 +snow ") + "^" * len("camera:")  # 犬 is two wide
    long = "a" * 200 + " after:x " + "b" * 200
    _, typed, mark = mrag("search", long).err.splitlines()
    assert len(typed) < 80
    assert typed[mark.index("^") : len(mark)] == "after:x"


def test_what_may_have_been_meant_is_said_beside_the_answer(mrag: Run) -> None:
    done = mrag("search", "dog camara:Canon", "--json")
    assert done.code == 0
    assert '"camara:Canon" is looked for as words; camera: is a filter' in done.err
    (hint,) = done.answers[0]["hints"]
    assert hint in done.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["-cat dog", "-k", "1"], ""),
        (["-k1", "-2:cat a dog"], ""),
        (["--minus", "-cat", '-"red car" dog'], ""),
        (["--", "-cat dog"], ""),
        (["-dog"], "says what to leave out, but not yet what to look for"),
        (["-dog -cat"], "as in: animals -dog -cat"),
        (["-cat"], 'for the option write "-c at"'),
        (["-cat", "dog"], '"animals -cat"'),
        (["--nosuch", "dog"], "No such option: --nosuch"),
    ],
)
def test_a_search_may_begin_with_a_minus(mrag: Run, args: list[str], told: str) -> None:
    done = mrag("search", *args)
    assert done.code == (2 if told else 0), done.err
    assert told in " ".join(done.err.split())


def test_the_best_are_put_in_another_order_and_it_is_said(mrag: Run) -> None:
    asked = ("search", "two dogs", "-c", "plain", "--space", "mapped", "--rerank-seconds", "60")
    (plain,) = mrag(*asked, "-k", "9", "--json").answers
    done = mrag(*asked, "-k", "9", "--rerank", "pointwise", "--rerank-top", "9", "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert plain["reranked"] == []
    assert answer["reranked"] == ["9 of 9 reranked"]
    assert {hit["id"] for hit in answer["hits"]} == {hit["id"] for hit in plain["hits"]}
    shown = mrag(*asked, "--rerank", "listwise", "--rerank-top", "3")
    assert "3 of 3 reranked" in shown.out
    refused = mrag(*asked, "--rerank", "picture")
    assert refused.code == 2
    assert "set MRAG_RERANKER" in refused.err


def test_captions_for_a_prompt_are_put_in_another_order(mrag: Run, held_out: list[Path]) -> None:
    options = ("--rerank", "pointwise", "--rerank-top", "6", "--rerank-seconds", "60", "-n", "1")
    done = mrag("caption", held_out[0], *options, "--json")
    assert done.code == 0, done.err
    (answer,) = done.answers
    assert answer["reranked"] == ["6 of 6 reranked"]
    assert len(answer["retrieved"]) == 4
