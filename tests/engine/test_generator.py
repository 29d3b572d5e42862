import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GenerationConfig,
    GPT2Config,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from engine.describe.prompts import build_prompt
from engine.errors import InvalidInput, ModelMissing
from engine.models.device import Precision
from engine.models.generator import Seq2SeqGenerator, load_generator
from engine.models.nucleus import NucleusDraw, random_numbers
from engine.models.seq2seq import choose_dtype, load_seq2seq
from engine.types import Decoding
from tests.hub import ModelHub

REPO = Path(__file__).parents[2]
FOLDERS = (REPO / "sample/pack/t5", REPO.parent / "shared/sample_world/pack/t5")

THINGS = ["dog", "cat", "tree", "rabbit", "car", "sunflower", "boat"]
PROMPTS = [
    build_prompt(
        [f"A {thing} next to a {other} on the beach." for other in THINGS[: i + 1]],
        template="smallcap",
        budget=500,
        count_tokens=len,
    ).text
    for i, thing in enumerate(THINGS)
]
GREEDY, BEAM, NUCLEUS = Decoding(), Decoding("beam"), Decoding("nucleus", temperature=1.5)


@pytest.fixture(scope="module")
def trained() -> Path:
    for folder in FOLDERS:
        if (folder / "model.safetensors").exists():
            return folder
    pytest.skip(f"no trained tiny T5 in {' or '.join(map(str, FOLDERS))}")


@pytest.fixture(scope="module")
def generator(trained: Path) -> Seq2SeqGenerator:
    return load_generator(str(trained), device="cpu", precision="fp32")


def save_tokenizer(folder: Path) -> None:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -20.0)]
    pieces = [(f"▁w{i}", -5.0) for i in range(60)]
    tokenizer = T5Tokenizer(vocab=special + pieces, extra_ids=0, model_max_length=64)
    tokenizer.save_pretrained(folder)


def random_t5() -> Any:
    """Writes words, not padding or ends: their logits are 0 and the others' larger or smaller."""
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=64,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        model.lm_head.weight[:4] = 0.0
        model.lm_head.weight *= 0.1
    return model


@pytest.fixture
def random_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "random-t5"
    random_t5().save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def reference(folder: Path, prompt: str, *, beams: int) -> str:
    """What transformers itself writes for one prompt."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt")
    config = GenerationConfig(num_beams=beams, max_new_tokens=40, do_sample=False)
    written = model.generate(**inputs, generation_config=config)
    return str(tokenizer.decode(written[0], skip_special_tokens=True)).strip()


def log_probability(folder: Path, prompt: str, text: str) -> float:
    """Per token, by one forward pass over the finished text."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    labels = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return -float(model(**tokenizer(prompt, return_tensors="pt"), labels=labels).loss)


@pytest.mark.parametrize(("decoding", "beams"), [(GREEDY, 1), (BEAM, 4)])
def test_writes_what_transformers_writes(
    generator: Seq2SeqGenerator, trained: Path, decoding: Decoding, beams: int
) -> None:
    expected = [[reference(trained, prompt, beams=beams)] for prompt in PROMPTS[:3]]
    assert generator.generate(PROMPTS[:3], 1, decoding) == expected


@pytest.mark.parametrize("decoding", [GREEDY, BEAM, NUCLEUS])
@pytest.mark.parametrize("batch_size", [1, 9])
def test_the_batch_does_not_matter(
    generator: Seq2SeqGenerator, trained: Path, decoding: Decoding, batch_size: int
) -> None:
    other = load_generator(str(trained), device="cpu", precision="fp32", batch_size=batch_size)
    expected = [other.generate([prompt], 3, decoding)[0] for prompt in PROMPTS]
    assert other.generate(PROMPTS, 3, decoding) == expected
    assert generator.generate(PROMPTS[::-1], 3, decoding) == expected[::-1]


def test_a_batch_has_as_many_prompts_as_give_its_texts(random_folder: Path) -> None:
    parts = load_seq2seq(str(random_folder), torch.device("cpu"), "fp32")
    generator = Seq2SeqGenerator(*parts, batch_size=8, threads=1)
    batches: list[int] = []
    parts.model.get_encoder().register_forward_pre_hook(
        lambda _, __, given: batches.append(len(given["input_ids"])), with_kwargs=True
    )
    for n in (1, 4, 9):
        generator.generate([f"w{i}" for i in range(9)], n, Decoding("nucleus", max_new_tokens=2))
    assert batches == [8, 1, 2, 2, 2, 2, 1] + [1] * 9


@pytest.mark.parametrize(("precision", "attention"), [("fp32", "sdpa"), ("bf16", "eager")])
def test_bfloat16_on_a_cpu_goes_round_the_slow_attention(
    random_folder: Path, precision: Precision, attention: str
) -> None:
    model = load_seq2seq(str(random_folder), torch.device("cpu"), precision).model
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize("decoding", [GREEDY, BEAM, NUCLEUS])
def test_candidates_differ(generator: Seq2SeqGenerator, decoding: Decoding) -> None:
    for candidates in generator.generate(PROMPTS, 6, decoding):
        assert 1 < len(candidates) <= 6
        assert len({text.casefold().rstrip(" .") for text in candidates}) == len(candidates)
        assert all(text == text.strip() for text in candidates)


def test_greedy_comes_first_and_beams_after(generator: Seq2SeqGenerator) -> None:
    several = generator.generate(PROMPTS, 4, GREEDY)
    assert [texts[:1] for texts in several] == generator.generate(PROMPTS, 1, GREEDY)
    beams = generator.generate(PROMPTS, 4, BEAM)
    assert all(set(texts[1:]) <= set(found) for texts, found in zip(several, beams, strict=True))


@pytest.mark.parametrize("decoding", [BEAM, NUCLEUS])
def test_the_likeliest_comes_first(
    generator: Seq2SeqGenerator, trained: Path, decoding: Decoding
) -> None:
    for prompt, texts in zip(
        PROMPTS[:2], generator.generate(PROMPTS[:2], 5, decoding), strict=True
    ):
        scores = [log_probability(trained, prompt, text) for text in texts]
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_nucleus_repeats_by_seed_and_leaves_the_global_state_alone(
    generator: Seq2SeqGenerator,
) -> None:
    before = torch.random.get_rng_state()
    once = generator.generate(PROMPTS, 3, NUCLEUS)
    torch.rand(7)
    torch.random.set_rng_state(before)
    assert generator.generate(PROMPTS, 3, NUCLEUS) == once
    assert torch.equal(torch.random.get_rng_state(), before)
    other_seed = Decoding("nucleus", temperature=1.5, seed=1)
    assert generator.generate(PROMPTS, 3, other_seed) != once


def test_a_narrow_nucleus_is_greedy(generator: Seq2SeqGenerator) -> None:
    narrow = Decoding("nucleus", top_p=1e-6)
    assert generator.generate(PROMPTS, 3, narrow) == generator.generate(PROMPTS, 1, GREEDY)


def test_nucleus_draws_follow_the_distribution() -> None:
    probabilities = np.array([0.4, 0.05, 0.3, 0.25])
    scores = torch.from_numpy(np.log(probabilities)).float().repeat(20_000, 1)
    decoding = Decoding("nucleus", top_p=0.9, temperature=0.5, max_new_tokens=1)
    numbers = random_numbers([1, 2], 20_000, decoding)
    draw = NucleusDraw(decoding, numbers, 0, torch.device("cpu"))
    chosen = draw(torch.zeros((20_000, 1), dtype=torch.long), scores).argmax(dim=-1).numpy()
    expected = probabilities**2 / sum(probabilities**2)
    expected[1] = 0.0  # the three likeliest make up 0.9 of it
    found = np.bincount(chosen, minlength=4) / 20_000
    assert found == pytest.approx(expected / expected.sum(), abs=0.012)
    assert found[1] == 0
    assert draw.log_probability().numpy() == pytest.approx(np.log(probabilities[chosen]), abs=1e-5)


def test_each_prompt_and_candidate_has_numbers_of_its_own() -> None:
    numbers = [random_numbers(tokens, 2, NUCLEUS) for tokens in ([1, 2], [1, 3])]
    assert len(np.unique(np.concatenate(numbers))) == 4 * NUCLEUS.max_new_tokens


@pytest.mark.parametrize("method", ["greedy", "beam", "nucleus"])
def test_max_new_tokens_is_kept(generator: Seq2SeqGenerator, method: Any) -> None:
    decoding = Decoding(method, max_new_tokens=3)
    for candidates in generator.generate(PROMPTS[:2], 2, decoding):
        assert candidates
        assert all(generator.count_tokens(text) <= 3 for text in candidates)


def test_prompts_are_never_cut(random_folder: Path) -> None:
    generator = load_generator(str(random_folder))
    assert generator.max_input_tokens == 63
    longest = "w1 " * 63
    assert generator.count_tokens(longest) == 63
    generator.generate([longest], 1, GREEDY)
    with pytest.raises(InvalidInput, match=r"prompt 1 has 64 tokens; .* at most 63"):
        generator.generate(["w1", "w1 " * 64], 1, GREEDY)


def test_nothing_to_write(random_folder: Path) -> None:
    model = random_t5()
    with torch.no_grad():
        model.lm_head.weight.zero_()  # every token alike: padding wins
    model.save_pretrained(random_folder)
    generator = load_generator(str(random_folder))
    assert generator.generate([], 3, GREEDY) == []
    assert generator.generate(["w1", "w2"], 1, GREEDY) == [[], []]


def test_threads_share_one_generator(generator: Seq2SeqGenerator) -> None:
    expected = generator.generate(PROMPTS, 2, NUCLEUS)
    counts = [generator.count_tokens(prompt) for prompt in PROMPTS]
    with ThreadPoolExecutor(6) as pool:
        texts = [pool.submit(generator.generate, [prompt], 2, NUCLEUS) for prompt in PROMPTS]
        counted = [pool.submit(generator.count_tokens, prompt) for prompt in PROMPTS * 50]
        assert [text.result()[0] for text in texts] == expected
        assert [count.result() for count in counted] == counts * 50


@pytest.mark.parametrize(
    ("n", "decoding", "message"),
    [
        (0, GREEDY, "0 candidates"),
        (1, Decoding("beam", beams=0), "beams is 0"),
        (1, Decoding("nucleus", top_p=1.5), "top_p is 1.5"),
        (1, Decoding("nucleus", temperature=0.0), r"temperature is 0\.0"),
        (1, Decoding("nucleus", temperature=float("nan")), "temperature is nan"),
        (1, Decoding(max_new_tokens=0), "max_new_tokens is 0"),
        (1, Decoding("sampling"), "method is 'sampling'"),  # type: ignore[arg-type]
    ],
)
def test_settings_out_of_range(
    generator: Seq2SeqGenerator, n: int, decoding: Decoding, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        generator.generate(PROMPTS, n, decoding)


def test_a_models_own_sampling_settings_stay_out(
    random_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = load_generator(str(random_folder), precision="fp32").generate(["w1 w2"], 1, GREEDY)
    settings = {"do_sample": True, "temperature": 9.0, "num_beams": 3, "repetition_penalty": 9.0}
    path = random_folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    capfd.readouterr()
    generator = load_generator(str(random_folder), precision="fp32")
    assert generator.generate(["w1 w2"], 1, GREEDY) == plain
    assert len(generator.generate(["w1 w2"], 4, NUCLEUS)[0]) > 1
    assert capfd.readouterr() == ("", "")


def test_an_output_layer_of_its_own_as_in_flan_t5(
    random_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = random_t5()
    weights = torch.randn(64, 32)
    weights[:4] = 0.0
    model.lm_head.weight = torch.nn.Parameter(weights)
    model.save_pretrained(random_folder)
    path = random_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": False}))
    inputs = AutoTokenizer.from_pretrained(random_folder)("w1 w2 w3", return_tensors="pt")
    config = GenerationConfig(max_new_tokens=9, do_sample=False, decoder_start_token_id=0)
    expected = model.eval().generate(**inputs, generation_config=config)[0, 1:].tolist()
    capfd.readouterr()
    generator = load_generator(str(random_folder), precision="fp32")
    written = generator.generate(["w1 w2 w3"], 1, Decoding(max_new_tokens=9))
    assert written == [[" ".join(f"w{token - 4}" for token in expected)]]
    assert capfd.readouterr() == ("", "")


def test_another_architecture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=64,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=40,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=1,
        decoder_start_token_id=1,  # as in the real BART, generation starts with the end token
        forced_eos_token_id=1,
        init_std=1.0,
    )
    BartForConditionalGeneration(config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    generator = load_generator(str(tmp_path), device="cpu", precision="fp16")
    assert generator.max_input_tokens == 39
    for decoding in (GREEDY, BEAM, NUCLEUS):
        assert all(generator.generate(["w1 w2", "w3"], 2, decoding))


def test_id_follows_the_weights_not_the_place(random_folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(random_folder, moved)
    first, second = (load_generator(str(folder)).id for folder in (random_folder, moved))
    assert first == second
    assert first.startswith("local-dir@")
    model = random_t5()
    with torch.no_grad():
        model.lm_head.weight[5, 5] += 1
    model.save_pretrained(moved)
    assert load_generator(str(moved)).id != first


def drop_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def only_pickles(folder: Path) -> None:
    torch.save(random_t5().state_dict(), folder / "pytorch_model.bin")
    drop_weights(folder)


def drop_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def deepen(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_layers": 3}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (drop_weights, r"no complete generator: .*model\.safetensors"),
        (only_pickles, r"no complete generator: .*other formats are not read"),
        (empty, r"no complete generator: .*config\.json"),
        (drop_tokenizer, r"no complete generator: it has no tokenizer \(.*tokenizer\.json"),
        (cut_weights, "damaged"),
        (deepen, r"lack 8 of the model's tensors, encoder\.block\.2"),
    ],
)
def test_an_incomplete_folder(
    random_folder: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(random_folder)
    with pytest.raises(ModelMissing, match=message):
        load_generator(str(random_folder))


def test_not_an_encoder_decoder(tmp_path: Path) -> None:
    GPT2Config(n_layer=1, n_embd=8, n_head=1).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match="not an encoder-decoder model"):
        load_generator(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "fp16 overflows in t5"),
        ({"precision": "int8"}, "unknown precision 'int8'; choose auto, fp32"),
        ({"device": "cuda:99"}, "'cuda:99' is not here; choose auto, .*cpu"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_unusable_options(random_folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_generator(str(random_folder), **options)


@pytest.mark.parametrize("spec", ["/no/such/folder", "a/b/c", "not a name"])
def test_neither_a_folder_nor_a_hub_name(spec: str) -> None:
    with pytest.raises(ModelMissing, match=f"there is no folder {spec!r}"):
        load_generator(spec)


def test_bfloat16_on_a_cpu_only_where_it_is_faster() -> None:
    cpu = torch.device("cpu")
    capable = torch.cpu.get_capabilities()
    units = bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))
    expected = torch.bfloat16 if units else torch.float32
    assert choose_dtype("auto", cpu, T5Config(d_model=128)) == torch.float32
    assert choose_dtype("auto", cpu, T5Config(d_model=768)) == expected


HUB_SCRIPT = """
import json, sys
from engine.errors import MragError
from engine.models.generator import load_generator
from engine.types import Decoding
from tests.hub import ModelHub
for name in sys.argv[1:]:
    try:
        found = load_generator(name)
        print(json.dumps([found.id, found.generate(["w1 w2"], 1, Decoding())[0]]))
    except MragError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""


def load_in_subprocess(environment: dict[str, str], *names: str) -> list[list[Any]]:
    done = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT, *names],
        cwd=REPO,
        env={"PATH": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        timeout=300,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]  # and not a line beside


def test_the_hub_its_cache_and_no_network(
    hub: ModelHub, random_folder: Path, tmp_path: Path
) -> None:
    hub.add_folder("org/tiny", random_folder)
    online = hub.environment(tmp_path / "cache")
    fetched, absent = load_in_subprocess(online, "org/tiny", "org/absent")
    assert fetched[0] == "org/tiny"
    assert absent[0] == "ModelMissing"
    assert "check the name" in absent[1]
    offline = online | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    kept, missing = load_in_subprocess(offline, "org/tiny", "org/other")
    assert kept == fetched
    assert missing[0] == "ModelMissing"
    cache = str(tmp_path / "cache")
    for part in ("org/other", cache, "cannot be reached", "hf download", "MRAG_GENERATOR"):
        assert part in missing[1]
