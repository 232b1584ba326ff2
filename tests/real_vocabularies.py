"""Real vocabularies that come through the package index: those of llama.cpp's own tests, inside an sdist."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Final

from transformers import AutoTokenizer

INDEX: Final = "https://pypi.org/simple/llama-cpp-python/"
SDIST: Final = "llama_cpp_python-0.3.7.tar.gz"
SHA256: Final = "0566a0dcc0f38005c4093309a87f67c2452449522e3e17e15cd735a62957894c"
NAMES: Final = ("llama-spm", "qwen2", "llama-bpe", "phi-3", "gpt-2", "falcon")


def home() -> Path:
    """Where they are kept between runs of the tests: 67 MB are downloaded once."""
    return Path(os.environ.get("AULLAVA_TEST_CACHE", Path.home() / ".cache" / "aullava" / "tests"))


@cache
def vocabulary_folder() -> Path:
    """The folder of the vocabularies, downloaded if it is not there."""
    folder = home() / "vocabularies"
    if all((folder / f"ggml-vocab-{name}.gguf").is_file() for name in NAMES):
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
            if name in {f"ggml-vocab-{one}.gguf" for one in NAMES}:
                inside = archive.extractfile(member)
                assert inside is not None
                (folder / name).write_bytes(inside.read())
    sdist.unlink()
    return folder


@cache
def real_tokenizer(name: str) -> Any:
    return AutoTokenizer.from_pretrained(vocabulary_folder(), gguf_file=f"ggml-vocab-{name}.gguf")
