"""What a text model would answer of given answers: held against probabilities counted by hand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from engine.errors import InvalidInput
from engine.models.choosing import beginnings, told_apart
from engine.models.generator import Seq2SeqGenerator, load_generator
from engine.models.queues import BatchedGenerator

END = 1
PROMPTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11 w12", "w4 w4", ""]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of random weights whose words may need several tokens: `▁`, and then letters."""
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("t5")
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -20.0)]
    pieces = [(f"▁w{i}", -5.0) for i in range(20)] + [(letter, -9.0) for letter in "yesnoabc"]
    tokenizer = T5Tokenizer(vocab=special + pieces, extra_ids=0, model_max_length=64)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():  # as it begins all tokens are about alike
        model.shared.weight *= 3
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def chooser(folder: Path) -> Seq2SeqGenerator:
    return load_generator(str(folder), device="cpu", precision="fp32")


def by_hand(folder: Path, prompt: str, answers: list[list[int]]) -> np.ndarray:
    """The log-softmax over the answers of the sum of their tokens' log-probabilities."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    given = AutoTokenizer.from_pretrained(folder)(prompt, return_tensors="pt")
    sums = []
    for tokens in answers:
        with torch.inference_mode():
            decoded = model(**given, decoder_input_ids=torch.tensor([[0, *tokens[:-1]]]))
        each = decoded.logits[0].log_softmax(-1)
        sums.append(float(sum(each[i, token] for i, token in enumerate(tokens))))
    found: np.ndarray = torch.tensor(sums).log_softmax(0).numpy()
    return found


def test_first_tokens_are_weighed_against_each_other(
    chooser: Seq2SeqGenerator, folder: Path
) -> None:
    found = chooser.likelihoods(PROMPTS, ["w1", "w2", "w7"])
    expected = [by_hand(folder, prompt, [[5], [6], [11]]) for prompt in PROMPTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-5)
    assert found.dtype == np.float32
    assert len(np.unique(found[:, 0].round(4))) == len(PROMPTS)  # the prompt matters


def test_words_of_several_tokens_are_told_apart_by_the_first_that_differs(
    chooser: Seq2SeqGenerator, folder: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    yes, no = (tokenizer(word, add_special_tokens=False).input_ids for word in ("yes", "no"))
    assert yes[0] == no[0]  # the mark of a word's beginning
    found = chooser.likelihoods(PROMPTS, ["yes", "no", "w3"])
    expected = [by_hand(folder, prompt, [yes[:2], no[:2], [7]]) for prompt in PROMPTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_step_of_the_decoder_where_first_tokens_differ(folder: Path) -> None:
    chooser = load_generator(str(folder), device="cpu", precision="fp32")
    steps: list[int] = []
    chooser._model.get_decoder().register_forward_pre_hook(
        lambda _, __, given: steps.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    chooser.likelihoods(PROMPTS, ["w1", "w2"])
    assert steps == [1]
    chooser.likelihoods(PROMPTS, ["yes", "no"])
    assert steps == [1, 2]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_the_batch_does_not_matter(folder: Path, batch_size: int) -> None:
    chooser = load_generator(str(folder), device="cpu", precision="fp32", batch_size=batch_size)
    alone = [chooser.likelihoods([prompt], ["yes", "no"])[0] for prompt in PROMPTS]
    np.testing.assert_allclose(chooser.likelihoods(PROMPTS, ["yes", "no"]), alone, atol=1e-5)


def test_sessions_share_one_queue(chooser: Seq2SeqGenerator) -> None:
    batched = BatchedGenerator(chooser, max_waiting=64)
    expected = chooser.likelihoods(PROMPTS, ["w1", "w2"])
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(batched.likelihoods, [prompt], ["w1", "w2"]) for prompt in PROMPTS * 4
        ]
        found = np.concatenate([one.result() for one in asked])
    batched.close()
    np.testing.assert_allclose(found, np.tile(expected, (4, 1)), atol=1e-5)
    assert sum(batched.figures().batches.values()) <= len(asked)


def test_nothing_to_judge(chooser: Seq2SeqGenerator) -> None:
    assert chooser.likelihoods([], ["w1", "w2"]).shape == (0, 2)


@pytest.mark.parametrize(
    ("choices", "message"),
    [(["w1", "w2", "w1"], "'w1' and 'w1'"), ([], "no answer"), (["☃", "☄"], "'☃' and '☄'")],
)
def test_answers_that_cannot_be_told_apart(
    chooser: Seq2SeqGenerator, choices: list[str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        chooser.likelihoods(["w1"], choices)


def test_prompts_are_never_cut(chooser: Seq2SeqGenerator) -> None:
    with pytest.raises(InvalidInput, match=r"prompt 0 has 64 tokens; .* at most 63"):
        chooser.likelihoods(["w1 " * 64], ["w1", "w2"])


@given(st.lists(st.lists(st.integers(2, 4), max_size=4), min_size=2, max_size=6, unique_by=tuple))
def test_each_path_is_the_shortest_that_tells_it_apart(tokens: list[list[int]]) -> None:
    paths = told_apart([str(own) for own in tokens], tokens, END)
    for i, path in enumerate(paths):
        whole = [(*own, END) for own in tokens]
        sharing = [own for own in whole if own[: len(path)] == path]
        assert sharing == [whole[i]]
        assert sum(own[: len(path) - 1] == path[:-1] for own in whole) > 1
    given = beginnings(paths)
    needed = {path[:size] for path in paths for size in range(len(path))}
    assert set(given) <= needed
    # What is left out all choices share, so it weighs the same for each.
    for begun in needed - set(given):
        assert {path[len(begun)] for path in paths} == {paths[0][len(begun)]}
