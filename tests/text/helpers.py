"""A sample, a preprocessor and a tokenizer for the tests of the text."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aullava.text.grammar import AnswerForm, answer_text
from aullava.text.question import QuestionStyle, question
from aullava.text.tokens import Tokenizer
from datamodules.action_units import BP4D_AUS, FEAFA_AUS, Scale

IMAGE_TOKENS = 9
SIZE = 4


@dataclass(frozen=True)
class Face:
    """The least that a collator can ask about."""

    sample_id: str
    aus: tuple[str, ...]
    labels: npt.NDArray[np.float32]
    scale: Scale
    dataset: str = "synthetic"
    subject: str = "synthetic/p1"
    padding: bool = False
    image: npt.NDArray[np.uint8] = field(default_factory=lambda: np.full((SIZE, SIZE, 3), 7, dtype=np.uint8))


def face(sample_id: str, aus: str, labels: list[float], scale: Scale) -> Face:
    return Face(sample_id, tuple(aus.split()), np.array(labels, dtype=np.float32), scale)


def preprocess(images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def byte_level_bpe(prefix_space: bool = False, merges: int = 300, **special: str) -> Tokenizer:
    """A small byte-level BPE, trained on our own texts, with every digit apart.

    `prefix_space` puts a blank before every piece, as SentencePiece tokenizers do; without `merges`, every
    character is a token.
    """
    raw = RawTokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=True),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    texts = [
        "".join(piece for piece in question(aus, scale, QuestionStyle()) if isinstance(piece, str))
        for aus in (BP4D_AUS, FEAFA_AUS)
        for scale in Scale
    ]
    texts += [answer_text(FEAFA_AUS, scale, [0.0] * 24, form) for scale in Scale for form in AnswerForm]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + len(special) + merges,
        special_tokens=sorted(special.values()),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    build: Any = PreTrainedTokenizerFast  # transformers does not annotate the constructor
    tokenizer = build(tokenizer_object=raw, clean_up_tokenization_spaces=False, **special)
    tokenizer.name_or_path = "small-bpe"
    return cast(Tokenizer, tokenizer)


def written(tokenizer: Tokenizer, ids: torch.Tensor | list[int] | tuple[int, ...]) -> str:
    """Ids as text, special tokens included."""
    listed = ids.tolist() if isinstance(ids, torch.Tensor) else list(ids)
    return cast(str, cast(PreTrainedTokenizerFast, tokenizer).decode(listed, skip_special_tokens=False))
