"""The tokenizer as it is written: with a token for the image, and without a blank that no text has."""

from __future__ import annotations

import json
from typing import Any, Final

from tokenizers import AddedToken
from tokenizers import Tokenizer as RawTokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from aullava.export.errors import ExportError

IMAGE_TOKEN: Final = "<image>"
"""LLaVA's word for the image's place."""

_SPECIAL: Final = ("bos_token", "eos_token", "unk_token", "pad_token")


def exported_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """A copy that gives a whole prompt the ids that its pieces had in training.

    A run tokenises its questions piece by piece (`aullava.text.tokens`). An image token parts a text in the
    same way, but SentencePiece tokenizers then put a blank before each part; the copy does not.

    Args:
        tokenizer: of the language model, backed by the tokenizers library.

    Raises:
        ExportError: it is not backed by the tokenizers library.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(
            f"the tokenizer '{tokenizer.name_or_path}' has no tokenizer.json form, which an export needs"
        )
    state = json.loads(backend.to_str())
    for part in ("normalizer", "pre_tokenizer"):
        state[part] = _without_blank(state[part])
    build: Any = PreTrainedTokenizerFast  # transformers does not annotate the constructor
    special = {name: str(value) for name in _SPECIAL if (value := getattr(tokenizer, name)) is not None}
    copy: Any = build(
        tokenizer_object=RawTokenizer.from_str(json.dumps(state)),
        clean_up_tokenization_spaces=False,
        model_max_length=tokenizer.model_max_length,
        padding_side="left",
        **special,
    )
    # An id of its own: what a user writes as text cannot be one, and a skipped special token leaves no trace.
    copy.add_tokens([AddedToken(IMAGE_TOKEN, special=True, normalized=False)], special_tokens=True)
    written: PreTrainedTokenizerFast = copy
    return written


def _without_blank(part: Any) -> Any:
    """A normalizer or pre-tokenizer that puts nothing before a text."""
    match part:
        case {"type": "Prepend"}:
            return None
        case {"type": "Sequence"}:
            key = "normalizers" if "normalizers" in part else "pretokenizers"
            kept = [one for one in map(_without_blank, part[key]) if one is not None]
            return {**part, key: kept}
        case {"type": "Metaspace"}:
            return {**part, "prepend_scheme": "never"}
        case {"type": "ByteLevel"}:
            return {**part, "add_prefix_space": False}
        case _:
            return part
