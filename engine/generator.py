"""Text from prompts: transformers seq2seq models, and `consensus`, which needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput, ModelMissing
from engine.types import Decoding, Vectors

if TYPE_CHECKING:  # torch and transformers take seconds to import; `consensus` needs neither
    import torch
    from torch import Tensor

Precision = Literal["auto", "fp32", "bf16", "fp16"]

HUB_TIMEOUT_S = 5.0
DEFAULT_INPUT_TOKENS = 512
"""Input length of a model that does not state its own; T5 was trained on it."""
BF16_MIN_WIDTH = 512
"""Hidden size from which bfloat16 is faster than float32 on a CPU with units for it."""
_T5_FAMILY = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})


class Seq2SeqGenerator:
    """Writes text with a transformers encoder-decoder model; see `types.Generator`.

    Threads may share one. What is written for a prompt does not depend on the prompts it is
    batched with (up to rounding in bfloat16). `max_input_tokens` is the longest prompt, as
    `count_tokens` counts.
    """

    def __init__(self, source: str, model: Any, tokenizer: Any, batch_size: int) -> None:
        self._source = source
        self._model = model
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._tokenizer_lock = Lock()  # fast tokenizers refuse concurrent use
        self._model_lock = Lock()
        self.max_input_tokens = _input_length(model.config, tokenizer)
        # A model's own sampling settings stay out: the Decoding decides.
        self._token_ids = _token_ids(model.generation_config)
        model.generation_config = type(model.generation_config)(**self._token_ids)

    @cached_property
    def id(self) -> str:
        """The hub name, or `local-dir/<folder>@<12 hex of sha256 over config and weights>`."""
        folder = Path(self._source)
        return f"local-dir/{folder.name}@{_digest(folder)}" if folder.is_dir() else self._source

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""
        return len(self._tokenize([text], end=False)[0])

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        """Write up to `n` different candidates for each prompt, the likeliest first.

        Candidates are ranked by log-probability per token and differ in more than case, spaces
        and the final stop; empty ones are dropped, so a list may be shorter than `n`, or empty.
        greedy with n > 1: the greedy text first, then those of max(beams, n) beams. nucleus: `n`
        draws, which depend on seed, prompt and model only. Raises InvalidInput for a prompt
        longer than `max_input_tokens` and for settings out of range.
        """
        _check(n, decoding)
        tokens = self._tokenize(prompts, end=True)
        self._check_lengths(tokens)
        # Prompts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]), reverse=True)
        written: list[list[str]] = [[] for _ in prompts]
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            sequences = self._write([tokens[i] for i in batch], n, decoding)
            for i, texts in zip(batch, self._decode(sequences, len(batch)), strict=True):
                written[i] = _different(texts)[:n]
        return written

    def _tokenize(self, texts: list[str], *, end: bool) -> list[list[int]]:
        if not texts:
            return []
        with self._tokenizer_lock:
            encoded = self._tokenizer(texts, add_special_tokens=end, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def _check_lengths(self, tokens: list[list[int]]) -> None:
        added = self._tokenizer.num_special_tokens_to_add(pair=False)
        for i, ids in enumerate(tokens):
            if len(ids) - added > self.max_input_tokens:
                raise InvalidInput(
                    f"prompt {i} has {len(ids) - added} tokens; {self._source} reads at most "
                    f"{self.max_input_tokens}: build it with that budget"
                )

    def _write(self, tokens: list[list[int]], n: int, decoding: Decoding) -> list[Tensor]:
        """Generate for one batch: tensors of (prompts * candidates, length) token ids."""
        import torch

        with self._model_lock, torch.inference_mode():
            ids, mask = self._pad(tokens)
            encoder = self._model.get_encoder()
            hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            if decoding.method == "nucleus":
                return [self._draw(tokens, hidden, mask, n, decoding)]
            found = []
            if decoding.method == "greedy":
                found.append(self._continue(hidden, mask, decoding.max_new_tokens))
            if decoding.method == "beam" or n > 1:
                beams = max(decoding.beams, n)
                found.append(self._continue(hidden, mask, decoding.max_new_tokens, beams=beams))
            return found

    def _pad(self, tokens: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids and their mask, both (prompts, longest), on the model's device."""
        import torch

        rows = [torch.tensor(row) for row in tokens]
        ones = [torch.ones_like(row) for row in rows]
        pad = self._token_ids.get("pad_token_id", 0)
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
        mask = torch.nn.utils.rnn.pad_sequence(ones, batch_first=True)
        return ids.to(self._model.device), mask.to(self._model.device)

    def _continue(
        self,
        hidden: Tensor,
        mask: Tensor,
        max_new_tokens: int,
        *,
        beams: int = 1,
        draw: _NucleusDraw | None = None,
    ) -> Tensor:
        """Decode all beams of each encoded prompt, best first."""
        from transformers import GenerationConfig
        from transformers.modeling_outputs import BaseModelOutput

        config = GenerationConfig(
            do_sample=False,
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=max_new_tokens,
            **self._token_ids,
        )
        sequences: Tensor = self._model.generate(
            # transformers expands this object in place: it must not be shared between calls
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=mask,
            generation_config=config,
            logits_processor=[draw] if draw else None,
        )
        return sequences

    def _draw(
        self, tokens: list[list[int]], hidden: Tensor, mask: Tensor, n: int, decoding: Decoding
    ) -> Tensor:
        """Sample n continuations of each encoded prompt, likeliest first."""
        import torch

        numbers = np.concatenate([_random_numbers(row, n, decoding) for row in tokens])
        draw = _NucleusDraw(decoding, numbers, self._token_ids["eos_token_id"], hidden.device)
        sequences = self._continue(
            hidden.repeat_interleave(n, dim=0),
            mask.repeat_interleave(n, dim=0),
            decoding.max_new_tokens,
            draw=draw,
        )
        ranks = draw.log_probability().view(len(tokens), n).argsort(descending=True, stable=True)
        first = torch.arange(0, len(sequences), n, device=ranks.device)[:, None]
        return sequences[(first + ranks).flatten()]

    def _decode(self, sequences: list[Tensor], prompts: int) -> list[list[str]]:
        """The texts of each prompt, in the order of the tensors."""
        texts: list[list[str]] = [[] for _ in range(prompts)]
        for rows in sequences:
            with self._tokenizer_lock:
                found = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
            share = len(found) // prompts
            for i, own in enumerate(texts):
                own.extend(found[i * share : (i + 1) * share])
        return texts


class _NucleusDraw:
    """A logits processor that samples with given random numbers and leaves one token possible.

    transformers samples a whole batch from torch's global random state; this way a prompt's
    draws depend neither on the rest of its batch nor on other threads.
    """

    def __init__(
        self,
        decoding: Decoding,
        numbers: NDArray[np.float32],
        end: int | list[int],
        device: torch.device,
    ) -> None:
        import torch
        from transformers import (
            LogitsProcessorList,
            TemperatureLogitsWarper,
            TopPLogitsWarper,
        )

        self._warp = LogitsProcessorList(
            [
                TemperatureLogitsWarper(float(decoding.temperature)),
                TopPLogitsWarper(float(decoding.top_p)),
            ]
        )
        self._numbers = torch.from_numpy(numbers).to(device)
        self._end = torch.tensor(end, device=device)
        self._step = 0
        self._running = torch.ones((len(numbers), 1), dtype=torch.bool, device=device)
        self._total = torch.zeros((len(numbers), 1), device=device)
        self._length = torch.zeros((len(numbers), 1), device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Choose the next token of each row; all others get -inf."""
        import torch

        cumulative = self._warp(input_ids, scores).softmax(dim=-1).cumsum(dim=-1)
        targets = self._numbers[:, self._step, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, targets, right=True)
        gained = scores.log_softmax(dim=-1).gather(1, chosen)
        self._total += gained.where(self._running, 0.0)
        self._length += self._running
        self._running &= ~torch.isin(chosen, self._end)
        self._step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def log_probability(self) -> Tensor:
        """The mean log-probability of each row's tokens, as the untempered model sees it."""
        return (self._total / self._length).squeeze(1)


def load_generator(
    spec: str, *, device: str = "auto", precision: Precision = "auto", batch_size: int = 8
) -> Seq2SeqGenerator:
    """Load an encoder-decoder model by its hub name, or from a folder with safetensors weights.

    What the hub's cache already has is loaded without asking the network. `precision` auto:
    bfloat16 on CUDA, and on a CPU that has units for it if the model is wide enough to gain;
    float32 elsewhere. Raises ModelMissing with the way to get it, and InvalidInput for a device,
    a precision or a kind of model that cannot be used.
    """
    if batch_size < 1:
        raise InvalidInput(f"batch_size is {batch_size}; at least 1 prompt is needed")
    target = _device(device)
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return _from_folder(folder, target, precision, batch_size)
    return _from_hub(spec, target, precision, batch_size)


def _from_folder(
    folder: Path, device: torch.device, precision: Precision, batch_size: int
) -> Seq2SeqGenerator:
    try:
        with _no_progress_bars():
            return _load(str(folder.resolve()), device, precision, batch_size, local=True)
    except OSError as error:
        raise ModelMissing(
            f"the folder {folder} holds no complete generator: {_first_line(error)} It needs "
            "config.json, model.safetensors and the tokenizer's files, as save_pretrained "
            "writes them (weights in other formats are not read)"
        ) from error


def _from_hub(
    name: str, device: torch.device, precision: Precision, batch_size: int
) -> Seq2SeqGenerator:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ModelMissing(
            f"there is no folder {name!r}, and it is not a hub name (like google/flan-t5-base)"
        ) from error
    try:
        with _no_progress_bars():
            return _load(name, device, precision, batch_size, local=True)
    except OSError:
        _ask_hub(name)
    try:
        return _load(name, device, precision, batch_size, local=False)
    except OSError as error:
        raise ModelMissing(
            _how_to_get(name, f"could not be fetched: {_first_line(error)}")
        ) from error


def _load(
    source: str, device: torch.device, precision: Precision, batch_size: int, *, local: bool
) -> Seq2SeqGenerator:
    """Load config, weights and tokenizer; OSError if a file is not there."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        options = {"local_files_only": local, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(source, **options)
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            source,
            config=config,
            dtype=_dtype(precision, device, config),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except SafetensorError as error:
        raise ModelMissing(
            f"the weights of {source} are damaged ({error}); delete them and get them again"
        ) from error
    except ValueError as error:
        raise InvalidInput(
            f"{source} is not an encoder-decoder model that transformers knows: "
            f"{_first_line(error)}"
        ) from error
    if report["missing_keys"]:
        raise ModelMissing(
            f"the weights of {source} lack {len(report['missing_keys'])} of the model's tensors, "
            f"{min(report['missing_keys'])} among them; they belong to another kind of model"
        )
    return Seq2SeqGenerator(source, model.to(device).eval(), tokenizer, batch_size)


def _ask_hub(name: str) -> None:
    """Raise ModelMissing, within seconds, unless the hub has safetensors weights of that name."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        files = HfApi().model_info(name, timeout=HUB_TIMEOUT_S).siblings or []
    except RepositoryNotFoundError as error:
        raise ModelMissing(
            f"the hub has no generator {name!r} that you may read; check the name, "
            "or log in with: hf auth login"
        ) from error
    except Exception as error:  # however asking fails, the remedy is the same
        reason = f"and the hub cannot be reached ({_first_line(error)})"
        raise ModelMissing(_how_to_get(name, reason)) from error
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        raise ModelMissing(
            f"{name} has no safetensors weights on the hub, and others are not read; choose "
            "another model, or convert it with save_pretrained and give the folder"
        )


def _how_to_get(name: str, reason: str) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = name.rpartition("/")[2]
    return (
        f"the generator {name} is not in the cache {HF_HUB_CACHE} {reason}.\n"
        f"With network, on this machine:  hf download {name} --include '*.json' '*.model' "
        "'*.safetensors'\n"
        f"On another machine:  hf download {name} --include '*.json' '*.model' '*.safetensors' "
        f"--local-dir {folder}\n"
        f"  then copy the folder here and give it:  MRAG_GENERATOR=/path/to/{folder}"
    )


def _device(name: str) -> torch.device:
    import torch

    usable = ["cpu"]
    if torch.cuda.is_available():
        usable = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    elif torch.backends.mps.is_available():
        usable = ["mps", "cpu"]
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise InvalidInput(f"device {name!r} is not here; choose auto, {', '.join(usable)}")
    return torch.device(name)


def _dtype(precision: Precision, device: torch.device, config: Any) -> torch.dtype:
    import torch

    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device, config) else "fp32"
    if precision == "fp16" and config.model_type in _T5_FAMILY:
        raise InvalidInput(
            f"precision fp16 overflows in {config.model_type} models, which then write nonsense; "
            "choose bf16, fp32 or auto"
        )
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in dtypes:
        raise InvalidInput(f"unknown precision {precision!r}; choose auto, {', '.join(dtypes)}")
    return dtypes[precision]


def _gains_from_bf16(device: torch.device, config: Any) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and units and int(config.hidden_size) >= BF16_MIN_WIDTH


def _input_length(config: Any, tokenizer: Any) -> int:
    """The longest prompt in tokens, without those that the tokenizer adds."""
    stated = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    # A tokenizer that knows no limit states 10 ** 30.
    limits = [limit for limit in stated if limit and limit < 10**9] or [DEFAULT_INPUT_TOKENS]
    added: int = tokenizer.num_special_tokens_to_add(pair=False)
    return min(limits) - added


def _token_ids(config: Any) -> dict[str, Any]:
    """The special tokens that a model's generation settings name."""
    names = [
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "decoder_start_token_id",
        "forced_bos_token_id",
        "forced_eos_token_id",
    ]
    found = {name: getattr(config, name, None) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:12]


def _check(n: int, decoding: Decoding) -> None:
    ranges = {
        "method": (decoding.method in {"greedy", "beam", "nucleus"}, "greedy, beam or nucleus"),
        "beams": (decoding.beams >= 1, "1 or more"),
        "top_p": (0 < decoding.top_p <= 1, "above 0, up to 1"),
        "temperature": (0 < decoding.temperature < float("inf"), "above 0"),
        "max_new_tokens": (decoding.max_new_tokens >= 1, "1 or more"),
    }
    for name, (usable, allowed) in ranges.items():
        if not usable:
            raise InvalidInput(f"{name} is {getattr(decoding, name)!r}; it must be {allowed}")
    if n < 1:
        raise InvalidInput(f"{n} candidates were asked for; it must be 1 or more")


def _random_numbers(tokens: Sequence[int], n: int, decoding: Decoding) -> NDArray[np.float32]:
    """(n, max_new_tokens) uniform in [0, 1), the same for the same prompt and seed."""
    digest = hashlib.sha256(f"{decoding.seed} {tokens}".encode()).digest()
    source = np.random.default_rng(list(digest))
    return source.random((n, decoding.max_new_tokens), dtype=np.float32)


def _different(texts: Sequence[str]) -> list[str]:
    """The stripped texts that are not empty and not a repetition of an earlier one."""
    kept: dict[str, str] = {}
    for text in texts:
        key = " ".join(text.casefold().split()).rstrip(" .")
        if key:
            kept.setdefault(key, text.strip())
    return list(kept.values())


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for what takes a second or two."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def consensus(vectors: Vectors, scores: NDArray[np.floating[Any]], n: int) -> list[int]:
    """The indices of the n captions closest to all that were retrieved, best first.

    Caption i is worth sum_j w_j cos(t_i, t_j) with w_j = max(score_j, 0): what agrees most with
    the evidence, each piece counted by how near the picture it lies (all alike if no score is
    positive). The sum includes j = i, without which the farther of two captions would always
    win. Equal worth keeps the order given. Minimum Bayes risk decoding (Kumar and Byrne, 2004)
    with the cosine as gain. `vectors` (m, dim) need not be unit rows; `scores` (m,). Raises
    InvalidInput for lengths that differ, values that are not finite, and n < 1.
    """
    if n < 1:
        raise InvalidInput(f"{n} captions were asked for; it must be 1 or more")
    if vectors.ndim != 2 or scores.shape != (len(vectors),):
        raise InvalidInput(f"vectors {vectors.shape} and scores {scores.shape} do not pair up")
    if not (np.isfinite(vectors).all() and np.isfinite(scores).all()):
        raise InvalidInput("vectors and scores must be finite; some are not")
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    weights = np.clip(scores.astype(np.float64), 0, None)
    if not weights.any():
        weights = np.ones_like(weights)
    worth = rows @ (weights / weights.sum() @ rows)
    # Rounded, so that equal captions tie in spite of the last bits of their sums.
    ranked = np.argsort(-worth.round(12), kind="stable")[:n]
    return [int(i) for i in ranked]
