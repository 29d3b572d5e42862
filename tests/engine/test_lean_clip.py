"""open_clip without what most models never use, and with it once a model does."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.conftest import ROOT

SCRIPT = """
import sys
from engine.models.lean_clip import import_open_clip, load_towers

def loaded():
    return sorted({"timm", "transformers", "torch._dynamo", "sympy"} & set(sys.modules))

open_clip = import_open_clip()
print(loaded())

import torch
vision = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 1}
text = {"context_length": 8, "vocab_size": 32, "width": 64, "heads": 1, "layers": 1}
model = open_clip.CLIP(16, vision, text)
with torch.inference_mode():
    print(model.encode_image(torch.zeros(1, 3, 32, 32)).shape[1])
load_towers({"vision_cfg": vision, "text_cfg": text})
print(loaded())

tower = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
load_towers({"vision_cfg": tower, "text_cfg": text})
model = open_clip.CLIP(16, {"image_size": 96, **tower}, text)
with torch.inference_mode():
    print(model.eval().encode_image(torch.zeros(1, 3, 96, 96)).shape[1])
print(loaded())

double = torch.compile(lambda number: number * 2, backend="eager")
print(int(double(torch.ones(()))), type(torch._dynamo).__name__)
from timm.layers.typing import disable_compiler
print(disable_compiler(lambda: 3)())
"""


def test_libraries_come_when_a_model_has_a_tower_of_theirs() -> None:
    """And torch's compiler when somebody compiles: what stood in for it is gone."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[]", "16", "[]", "16", "['timm', 'transformers']", "2 module", "3",
    ]  # fmt: skip
