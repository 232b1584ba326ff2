"""Checkpoints of the Hugging Face hub: from the cache if they are there, else downloaded, else said how."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its docs import it from here

from aullava.models.errors import MissingModelError

FILES: Final = ("*.json", "*.safetensors", "tokenizer.model", "merges.txt", "*.jinja", "README.md")
"""What is downloaded of a repository, all of it data; no pickle and no code."""

_HUB_ID: Final = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")
# What huggingface_hub raises where it reaches no hub, no such repository, or no complete copy in the cache.
_HUB_ERRORS: Final = (OSError, ValueError, httpx.HTTPError)


def is_hub_id(name: str) -> bool:
    """Whether a name can be OWNER/NAME or OWNER/NAME@REVISION and is no folder of this machine."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).is_dir()


def hub_folder(name: str, key: str, wanted: str, complete: Callable[[Path], bool]) -> Path:
    """The folder of a hub repository in the local cache; it is downloaded if it is not complete there.

    Nothing is asked of the network for a checkpoint that is in the cache, nor with HF_HUB_OFFLINE=1.

    Args:
        name: OWNER/NAME or OWNER/NAME@REVISION.
        key: by which the configuration calls it, for messages.
        wanted: the files that are needed, for messages.
        complete: whether a folder holds them.

    Raises:
        MissingModelError: it is not in the cache and cannot be downloaded; the message says how to bring it.
    """
    found = _HUB_ID.fullmatch(name)
    assert found is not None
    repository, revision = found["id"], found["revision"]
    try:
        cached = _snapshot(repository, revision, local_files_only=True)
        if complete(cached) or constants.HF_HUB_OFFLINE:
            return cached
    except _HUB_ERRORS as error:
        if constants.HF_HUB_OFFLINE:
            raise _not_here(name, key, wanted, "HF_HUB_OFFLINE is set") from error
    try:
        return _snapshot(repository, revision, local_files_only=False)
    except _HUB_ERRORS as error:
        raise _not_here(name, key, wanted, str(error).strip().split("\n", 1)[0]) from error


def _snapshot(repository: str, revision: str | None, local_files_only: bool) -> Path:
    folder = snapshot_download(
        repository,
        revision=revision,
        allow_patterns=list(FILES),
        ignore_patterns=["*/*"],  # other formats of the same weights lie in subfolders
        local_files_only=local_files_only,
    )
    return Path(folder)


def _not_here(name: str, key: str, wanted: str, reason: str) -> MissingModelError:
    return MissingModelError(
        f"{key} is '{name}', which is not in the cache {constants.HF_HUB_CACHE} and cannot be downloaded "
        f"({reason}): needed are {wanted}; download them where there is a network (hf download "
        f"{name.partition('@')[0]}), then set HF_HOME to the folder that holds hub/, or make {key} the local "
        "folder of the files"
    )
