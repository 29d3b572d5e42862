"""Models from the hub, in all weathers: fetched once, told of, and never taken on trust."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import open_clip
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from transformers import RobertaConfig

from engine.app import Engine, build_engine
from engine.doctor import Check, examine, mend_models
from engine.errors import DownloadFailed, InvalidInput, Missing, ModelMissing
from engine.models.encoder import load_encoder
from engine.models.generator import load_generator
from engine.models.presence import absent
from engine.progress import Progress, told_to
from engine.settings import SAMPLE_PACK, Settings
from engine.types import Decoding
from tests.blip import save_blip
from tests.hub import COMMIT, ModelHub, Weather, sha256

CLIP, T5 = "hf-hub:org/clip", "org/t5"
WEIGHTS, PICKLE = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"


@pytest.fixture(autouse=True)
def stocked(hub: ModelHub) -> ModelHub:
    """The sample's tiny models under names of the hub; the tokenizer beside the weights."""
    hub.add_folder("org/t5", SAMPLE_PACK / "t5")
    hub.add_folder("org/clip", SAMPLE_PACK / "clip")
    config = json.loads((SAMPLE_PACK / "clip" / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "org/clip"
    hub.repositories["org/clip"]["open_clip_config.json"] = json.dumps(config).encode()
    return hub


def cached(repository: str, name: str) -> Path:
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return folder / "snapshots" / COMMIT / name


def leftovers() -> list[str]:
    blobs = Path(constants.HF_HUB_CACHE).glob("models--*/blobs/*")
    return [path.name for path in blobs if path.suffix]


def why_not(spec: str) -> str:
    with pytest.raises(Missing) as caught:
        load_generator(spec) if spec == T5 else load_encoder(spec)
    return str(caught.value)


def test_what_is_fetched_once_is_never_asked_for_again(
    hub: ModelHub, capfd: pytest.CaptureFixture[str]
) -> None:
    words, texts = ["two dogs on a beach"], ["w1 two dogs"]
    vector = load_encoder(CLIP).encode_texts(words)
    written = load_generator(T5).generate(texts, 1, Decoding())
    assert (vector == load_encoder(f"local-dir:{SAMPLE_PACK / 'clip'}").encode_texts(words)).all()
    asked = len(hub.asked)
    hub.weather = {"api": Weather(503), "HEAD": Weather(503), "GET": Weather(503)}
    assert (load_encoder(CLIP).encode_texts(words) == vector).all()
    again = load_generator(T5)
    assert again.generate(texts, 1, Decoding()) == written
    assert again.id == T5
    assert len(hub.asked) == asked
    assert capfd.readouterr() == ("", "")
    assert not leftovers()


def test_a_tokenizer_of_another_repository_comes_too(hub: ModelHub) -> None:
    clip = SAMPLE_PACK / "clip"
    own = hub.repositories["org/clip"]
    own["open_clip_config.json"] = clip / "open_clip_config.json"  # which names "sample-world"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        del own[name]
        hub.repositories["sample-world"][name] = clip / name
    vector = load_encoder(CLIP).encode_texts(["a dog"])
    hub.weather = {"api": Weather(503), "HEAD": Weather(503), "GET": Weather(503)}
    asked = len(hub.asked)
    assert (load_encoder(CLIP).encode_texts(["a dog"]) == vector).all()
    assert len(hub.asked) == asked
    assert constants.HF_HUB_OFFLINE is False


def test_a_text_tower_of_another_repository_comes_too(hub: ModelHub, tmp_path: Path) -> None:
    RobertaConfig(
        vocab_size=800, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32,
    ).save_pretrained(tmp_path / "tower")  # fmt: skip
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"hf_model_name": str(tmp_path / "tower"), "hf_tokenizer_name": "org/clip"}
    text |= {"hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"}
    built = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    model = open_clip.CustomTextCLIP(**{**built, "text_cfg": text | {"hf_model_pretrained": False}})
    save_file(model.state_dict(), tmp_path / "weights")
    hub.repositories["org/clip"][WEIGHTS] = tmp_path / "weights"
    card = json.dumps({"model_cfg": built}).replace(str(tmp_path / "tower"), "org/tower")
    hub.repositories["org/clip"]["open_clip_config.json"] = card.encode()
    hub.add_folder("org/tower", tmp_path / "tower")
    vector = load_encoder(CLIP).encode_texts(["a dog"])
    asked = len(hub.asked)
    assert (load_encoder(CLIP).encode_texts(["a dog"]) == vector).all()
    assert len(hub.asked) == asked
    assert [one.path for one in hub.sent("/config.json")] == ["/org/tower/resolve/main/config.json"]


def test_each_file_is_told_of_in_bytes(hub: ModelHub) -> None:
    told: list[Progress] = []
    with told_to(told.append):
        load_generator(T5)
    for name in hub.repositories["org/t5"]:
        steps = [
            step
            for step in told
            if step.stage.startswith(f"fetch {name} (") and step.unit == "bytes"
        ]
        assert steps, name
        assert steps[-1].done == steps[-1].total == len(cached("org/t5", name).read_bytes())


def test_a_cut_file_goes_on_where_it_was(hub: ModelHub) -> None:
    hub.weather["GET model.safetensors"] = Weather(cut=1_500_000, times=1)
    load_generator(T5)
    wanted = [one.range for one in hub.sent("/cdn/org/t5/resolve/main/model.safetensors")]
    assert wanted == ["", "bytes=1500000-"]


def test_a_killed_fetch_goes_on_where_it_was_and_leaves_nothing_behind(hub: ModelHub) -> None:
    def kill(step: Progress) -> None:
        if "model.safetensors" in step.stage and step.done > 300_000:
            raise KeyboardInterrupt

    hub.weather["GET model.safetensors"] = Weather(bytes_per_s=3_000_000, times=1)
    with pytest.raises(KeyboardInterrupt), told_to(kill):
        load_generator(T5)
    (part,) = [name for name in leftovers() if name.endswith(".part")]
    load_generator(T5)
    assert not leftovers()
    last = hub.sent("/cdn/org/t5/resolve/main/model.safetensors")[-1]
    assert int(last.range.removeprefix("bytes=").removesuffix("-")) > 300_000
    assert part.startswith(sha256(SAMPLE_PACK / "t5" / "model.safetensors"))


def test_wrong_bytes_are_not_kept(hub: ModelHub) -> None:
    hub.weather["GET model.safetensors"] = Weather(wrong=True, times=1)
    with pytest.raises(DownloadFailed, match="not the file expected") as caught:
        load_generator(T5)
    assert "hf download org/t5" in str(caught.value)
    assert not leftovers()
    load_generator(T5)


def test_a_hub_that_is_busy_for_a_moment_is_asked_again(hub: ModelHub) -> None:
    hub.weather = {"api": Weather(500, times=1)}
    load_generator(T5)


def test_who_may_not_read_is_told_of_licence_and_login(hub: ModelHub) -> None:
    hub.weather = {"HEAD": Weather(403, code="GatedRepo")}
    told = why_not(CLIP)
    assert f"accepted its licence: do so at {hub.endpoint}/org/clip" in told
    assert "hf auth login" in told
    hub.weather = {"HEAD": Weather(401), "api": Weather(401)}
    assert "hf auth login" in why_not(T5)
    hub.weather = {"HEAD model.safetensors": Weather(403)}
    assert "hf auth login" in why_not(T5)


def test_a_token_is_for_the_hub_alone(hub: ModelHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    load_generator(T5)
    for one in hub.asked:
        assert bool(one.token) is not one.path.startswith("/cdn/"), one


def test_without_the_hub_the_remedy_names_one_file_of_weights(hub: ModelHub) -> None:
    hub.weather = {"api": Weather(404)}
    told = why_not("ViT-B-32/datacomp_xl_s13b_b90k")
    assert f"hf download laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K {WEIGHTS}\n" in told
    assert "ViT-B-32/datacomp_xl_s13b_b90k" in told


def test_a_pickle_does_not_stand_in_for_safetensors_that_are_cut(hub: ModelHub) -> None:
    hub.repositories["org/clip"][PICKLE] = bytes(9000)
    hub.weather[f"GET {WEIGHTS}"] = Weather(wrong=True)
    assert "not the file expected" in why_not(CLIP)
    assert not hub.sent(PICKLE)


class Malice:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("malice"),))


def test_a_pickle_that_holds_more_than_numbers_is_refused(
    hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = hub.repositories["org/clip"]
    del files[WEIGHTS]
    files[PICKLE] = tmp_path / "evil"
    torch.save({"state_dict": Malice()}, tmp_path / "evil")
    told = why_not(CLIP)
    assert "refused" in told
    assert str(cached("org/clip", PICKLE)) in told
    assert not (tmp_path / "malice").exists()


def test_a_generator_that_has_only_pickles_says_so(hub: ModelHub) -> None:
    files = hub.repositories["org/t5"]
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    told = why_not(T5)
    assert "org/t5 has no safetensors weights" in told
    assert not hub.sent("pytorch_model.bin")


@pytest.mark.parametrize("spec", [T5, CLIP])
def test_damaged_files_are_named_with_the_command_that_mends_them(spec: str) -> None:
    name = "model.safetensors" if spec == T5 else WEIGHTS
    option, load = ("generator", load_generator) if spec == T5 else ("encoder", load_encoder)
    load(spec)
    path = cached(spec.removeprefix("hf-hub:"), name)
    whole = path.read_bytes()
    path.resolve().write_bytes(whole[:100_000])
    told = why_not(spec)
    assert f"{path} has 100,000 bytes of {len(whole):,}" in told
    assert f"mrag doctor --repair --{option} {spec}" in told


@pytest.mark.parametrize("spec", [T5, CLIP])
def test_weights_of_another_model_are_told_as_such(spec: str, hub: ModelHub) -> None:
    if spec == T5:
        config = json.loads((SAMPLE_PACK / "t5" / "config.json").read_text())
        hub.repositories["org/t5"]["config.json"] = json.dumps(config | {"d_ff": 7}).encode()
    else:
        config = json.loads(bytes(hub.repositories["org/clip"]["open_clip_config.json"]))
        config["model_cfg"]["embed_dim"] = 64
        hub.repositories["org/clip"]["open_clip_config.json"] = json.dumps(config).encode()
    told = why_not(spec)
    assert "do not belong together" in told
    assert "doctor --repair" in told


def test_a_name_that_the_hub_does_not_have(hub: ModelHub) -> None:
    del hub.repositories["org/t5"]
    assert "check the name" in why_not(T5)
    with pytest.raises(ModelMissing, match="no name of the hub"):
        load_generator("a/b/c")
    with pytest.raises(InvalidInput):
        load_encoder("no/model")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(build_engine(Settings(home=tmp_path, encoder=CLIP, generator=T5))) as engine:
        yield engine


def told_by(checks: list[Check], subject: str) -> str:
    return "; ".join(f"{one.status}: {one.detail}" for one in checks if one.subject == subject)


def test_the_doctor_says_what_is_not_here_yet_and_fetches_nothing(
    hub: ModelHub, engine: Engine
) -> None:
    checks = examine(engine)
    assert told_by(checks, "encoder") == (
        f"note: {CLIP} is not here yet; the first use fetches it (1.9 MB)"
    )
    missing = f"{T5} is not here yet; the first use fetches it ({hub.size(T5)})"
    assert missing in told_by(checks, "generator")
    assert not [one for one in hub.asked if "/resolve/" in one.path]
    load_encoder(CLIP)
    assert "loads as" in told_by(examine(engine), "encoder")
    hub.weather = {"api": Weather(404)}
    assert told_by(examine(engine), "generator").startswith("missing: ")


def test_the_doctor_mends_what_is_damaged_and_only_that(hub: ModelHub, engine: Engine) -> None:
    load_encoder(CLIP)
    load_generator(T5)
    weights, small = cached("org/t5", "model.safetensors"), cached("org/t5", "tokenizer.json")
    whole = weights.read_bytes()
    turned = bytes([whole[-1] ^ 1])  # which no format tells
    weights.resolve().write_bytes(whole[:-1] + turned)
    small.resolve().write_bytes(b"{")
    abandoned = weights.resolve().with_name("0.incomplete")
    abandoned.touch()
    os.utime(abandoned, (0, 0))
    hub.asked.clear()
    done = told_by(mend_models(engine), "generator files")
    assert f"{weights} has another checksum than on the hub: fetched again" in done
    assert f"{small} is no JSON that can be read: fetched again" in done
    assert f"{abandoned} had been left behind" in done
    assert weights.read_bytes() == whole
    load_generator(T5)
    fetched = {one.path.rpartition("/")[2] for one in hub.asked if one.method == "GET"}
    assert fetched == {"t5", "model.safetensors", "tokenizer.json"}
    checks = mend_models(engine)
    assert told_by(checks, "encoder files") == "ok: the files of org/clip are whole"
    assert told_by(checks, "generator files") == "ok: the files of org/t5 are whole"


def test_nothing_is_removed_while_the_hub_is_down(hub: ModelHub, engine: Engine) -> None:
    load_generator(T5)
    weights = cached("org/t5", "model.safetensors")
    weights.resolve().write_bytes(b"cut")
    hub.weather = {"api": Weather(404)}
    assert told_by(mend_models(engine), "generator files").startswith("missing: ")
    assert weights.is_file()


def test_a_file_outside_of_the_cache_is_never_removed(engine: Engine, tmp_path: Path) -> None:
    load_generator(T5)
    weights, own = cached("org/t5", "model.safetensors"), tmp_path / "own.safetensors"
    own.write_bytes(b"damaged")
    weights.unlink()
    weights.symlink_to(own)
    assert "fetched again" in told_by(mend_models(engine), "generator files")
    assert own.read_bytes() == b"damaged"
    load_generator(T5)


def test_a_picture_reranker_is_fetched_at_its_first_use_and_known_to_the_doctor(
    hub: ModelHub, tmp_path: Path
) -> None:
    save_blip(tmp_path / "blip")
    hub.add_folder("org/blip", tmp_path / "blip")
    settings = Settings(home=tmp_path, encoder=CLIP, generator=T5, reranker="org/blip")
    with closing(build_engine(settings)) as engine:
        told = told_by(examine(engine, load=False), "reranker")
        assert "org/blip is not here yet; the first use fetches it" in told
        assert [one.repository for one in absent(CLIP, T5, "org/blip")][-1] == "org/blip"
        assert engine.matcher().id == "org/blip"
        assert told_by(examine(engine, load=False), "reranker") == "ok: org/blip loads as org/blip"
    assert "org/blip" not in [one.repository for one in absent(CLIP, T5, "org/blip")]
