"""The whole model: image tokens among the question's, and a causal language model that goes on from there.

Whatever touches embeddings, projector or head runs inside `forward`, `prefill` or `advance`, so that a
sharded model (FSDP2) has its weights gathered when they are needed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import Cache, DynamicCache, PreTrainedModel, StaticCache

from aullava.models.errors import CheckpointMismatchError, ModelError
from aullava.models.passes import AnswerPasses
from aullava.models.shared_prefix import in_sequences, logits_of, may_fold
from aullava.models.tree import reading
from aullava.models.vision import VisionEncoder

UNSUPERVISED: Final = -100
"""Label of a position that the loss leaves out."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Output:
    """What a forward pass gives.

    Attributes:
        loss: mean cross-entropy over the supervised tokens, a scalar; None without labels.
        logits: without labels [B, T, V]; with labels [K, V], for the K positions whose next token is
            supervised, row by row.
        losses: of each of the K positions, `loss` is their mean; None without labels.
    """

    loss: Tensor | None
    logits: Tensor
    losses: Tensor | None = None


@dataclass(slots=True)
class DecodeState:
    """Where a decoding stands; `advance` moves it on.

    Attributes:
        cache: keys and values of everything read so far.
        attention_mask: [B, tokens read] int64, 0 in the left padding.
        positions: [B, 1] int64, the position of each row's next token.
    """

    cache: Cache
    attention_mask: Tensor
    positions: Tensor


class FaceLanguageModel(AnswerPasses):
    """Vision encoder, projector, language model.

    Args:
        vision: gives N tokens per image; frozen, but for an adapter on it.
        projector: from the encoder's width to the language model's.
        llm: a causal language model, with or without LoRA.
        aligned: whether the projector was already trained for this encoder and this language model.

    Attributes:
        reads_once: whether what all rows of a batch begin with may be read in a pass of its own. With shared
            out weights every process must take the same passes, whatever its rows begin with.
    """

    def __init__(
        self,
        vision: VisionEncoder,
        projector: nn.Module,
        llm: PreTrainedModel | PeftModel,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.aligned = aligned
        self.reads_once = True
        self._folds: bool | None = None
        self.vision = vision
        self.projector = projector
        self.llm = llm
        for part, count in self.parameter_report().items():
            log.info("%s: %d parameters, %d trainable, %d frozen", part, *count.values())

    @property
    def context_length(self) -> int:
        """How many tokens, image tokens included, the language model was made for."""
        return int(self.llm.config.max_position_embeddings)

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        image_mask: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        pictures: Tensor | None = None,
        features: Tensor | None = None,
        branches: Tensor | None = None,
    ) -> Output:
        """Logits, and the loss if there are labels.

        Args:
            pixel_values: float [P, 3, S, S].
            input_ids: int64 [B, T]; ids under `image_mask` are not read.
            image_mask: bool [B, T], true at the N image places of every row.
            attention_mask: int64 [B, T], 0 in the padding, which may be on either side and whose logits mean
                nothing.
            labels: int64 [B, T], the ids to learn, UNSUPERVISED elsewhere.
            pictures: int64 [B], which picture each row asks about; None: row by row its own.
            features: [P, N, D] what the encoder makes of the pictures, if that is known.
            branches: int64 [B, T]: 0 in what all answers of a row share, else the number of the answer, which
                sees that and itself only; padding has -1. None: a row is one text.

        Raises:
            ModelError: a row has not as many image places as the encoder gives tokens.
        """
        tokens = self.encode_images(pixel_values, features)
        if labels is None:
            embeddings = self.embed(tokens, input_ids, image_mask, pictures)
            return Output(None, self._logits(embeddings, self._reading(attention_mask, branches)))
        # Only positions whose next token is supervised need the head: the vocabulary is what costs there.
        following = labels[:, 1:]
        keep = following != UNSUPERVISED
        ids, image_mask, attention_mask = input_ids[:, :-1], image_mask[:, :-1], attention_mask[:, :-1]
        branches = None if branches is None else branches[:, :-1]
        if _padded_right(attention_mask):
            rows = torch.arange(len(ids), device=ids.device) if pictures is None else pictures
            fold = int(rows[-1]) + 1 < len(rows) and self.folds()
            read = in_sequences(ids, image_mask, keep, rows, fold, branches)
            embeddings = self.embed(tokens, read.input_ids, read.image_mask, read.pictures)
            # Recomputation in the backward pass would write into the cache a second time.
            by_itself = self.reads_once and not self.llm.is_activation_checkpointing
            logits = logits_of(self.llm, embeddings, read, by_itself)
        else:
            embeddings = self.embed(tokens, ids, image_mask, pictures)
            logits = self._logits(embeddings, self._reading(attention_mask, branches), keep)
        losses = F.cross_entropy(logits.float(), following[keep], reduction="none")
        return Output(losses.mean(), logits, losses)

    def folds(self) -> bool:
        """Whether all questions about a picture stand in one sequence; the language model is asked once."""
        if self._folds is None:
            self._folds = may_fold(self.llm)
        return self._folds

    def _logits(self, embeddings: Tensor, told: Mapping[str, Any], keep: Tensor | int = 0) -> Tensor:
        """Logits after the positions `keep` (0: all of them)."""
        logits: Tensor = self.llm(
            inputs_embeds=embeddings, **told, use_cache=False, logits_to_keep=keep
        ).logits
        return logits

    def _reading(self, attention_mask: Tensor, branches: Tensor | None) -> dict[str, Any]:
        """How the language model is told about padding and branches: what a token sees, and where it stands.

        A causal model never sees what stands to the right. Padding there needs no mask, and without one
        attention takes its fast path: a step over a batch of mixed lengths cost a fifth less on a CPU.
        """
        if branches is not None:
            return reading(self.llm, branches.unsqueeze(-1))
        if _padded_right(attention_mask):
            return {}
        return {"attention_mask": attention_mask, "position_ids": _positions(attention_mask)}

    def encode_images(self, pixel_values: Tensor, features: Tensor | None = None) -> Tensor:
        """Image tokens [P, N, width of the language model]; no gradient reaches what is frozen.

        Args:
            pixel_values: float [P, 3, S, S].
            features: [P, N, D] what the encoder makes of them; None: it is asked.
        """
        seen = self.vision(pixel_values) if features is None else features
        # The projector trains in fp32 also behind an encoder in half precision.
        tokens: Tensor = self.projector(seen.to(next(self.projector.parameters()).dtype))
        return tokens

    def embed(
        self, tokens: Tensor, input_ids: Tensor, image_mask: Tensor, pictures: Tensor | None = None
    ) -> Tensor:
        """Input embeddings [S, T, D]: the ids' own, and the image tokens in their places, in order.

        Args:
            tokens: [P, N, D] from `encode_images`.
            input_ids: int64 [S, T].
            image_mask: bool [S, T], true at the N image places of every sequence.
            pictures: int64 [S], which picture stands in each; None: one after the other.

        Raises:
            ModelError: a sequence has not as many image places as a picture has tokens.
        """
        if pictures is not None:
            tokens = tokens[pictures]
        if not bool((image_mask.sum(dim=1) == tokens.shape[1]).all()):
            raise ModelError(
                f"every row needs {tokens.shape[1]} image places, but the rows have "
                f"{image_mask.sum(dim=1).tolist()}: build the collator with this encoder's num_tokens"
            )
        embeddings: Tensor = self.llm.get_input_embeddings()(input_ids)
        return embeddings.masked_scatter(image_mask.unsqueeze(-1), tokens.to(embeddings.dtype))

    def prefill(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        image_mask: Tensor,
        attention_mask: Tensor,
        room: int | None = None,
    ) -> tuple[Tensor, DecodeState]:
        """Read the questions; to be followed by `advance`.

        Args:
            pixel_values: as in `forward`, like the next two.
            input_ids: padded on the left.
            image_mask: the image's places.
            attention_mask: int64 [B, T], the last column all ones.
            room: how many tokens will follow at most. The cache is then allocated once. Without it, the cache
                is copied at every step, which on a CPU takes longer than the step, but it can be cropped.

        Returns:
            Logits of the first answer token [B, V], and the state for `advance`.

        Raises:
            ModelError: as `forward`, or rows are padded on the right.
        """
        if not bool(attention_mask[:, -1].all()):
            raise ModelError("decoding continues every row at its end: pad the questions on the left")
        cache: Cache
        if room is None:
            cache = DynamicCache(config=self.llm.config)
        else:
            cache = StaticCache(config=self.llm.config, max_cache_len=input_ids.shape[1] + room)
        state = DecodeState(cache, attention_mask, attention_mask.sum(dim=1, keepdim=True))
        embeddings = self.embed(self.encode_images(pixel_values), input_ids, image_mask)
        return self._last_logits(embeddings, _positions(attention_mask), state), state

    def advance(self, token_ids: Tensor, state: DecodeState) -> Tensor:
        """Read the next tokens of every row.

        Args:
            token_ids: int64 [B, k].
            state: from `prefill`; moved on by k.

        Returns:
            Logits [B, V] of the token after the last one.
        """
        steps = torch.arange(token_ids.shape[1], device=token_ids.device)
        positions = state.positions + steps
        state.attention_mask = F.pad(state.attention_mask, (0, token_ids.shape[1]), value=1)
        state.positions = state.positions + token_ids.shape[1]
        return self._last_logits(self.llm.get_input_embeddings()(token_ids), positions, state)

    def _last_logits(self, embeddings: Tensor, positions: Tensor, state: DecodeState) -> Tensor:
        """Logits [B, V] after the last of `embeddings`, whose keys and values go into the cache."""
        logits: Tensor = self.llm(
            inputs_embeds=embeddings,
            attention_mask=state.attention_mask,
            position_ids=positions,
            past_key_values=state.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits[:, -1]

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Every tensor that is trained and nothing that is frozen, by its name in this module."""
        return {name: tensor.detach() for name, tensor in self.named_parameters() if tensor.requires_grad}

    def load_trainable_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over trained weights: all of them and no others, or nothing is changed.

        Args:
            state: from `trainable_state_dict` of a model of the same parts.

        Raises:
            CheckpointMismatchError: tensors are missing, unexpected or of another shape.
        """
        self._copy(state, self.trainable_state_dict().keys())

    def begin_with(self, state: Mapping[str, Tensor]) -> None:
        """Take over the trained weights of an earlier stage: all of them, or nothing is changed.

        Args:
            state: from `trainable_state_dict` of a model of the same parts. It may lack an adapter, that on
                the encoder or that on the language model, which then begins afresh and changes nothing at
                first.

        Raises:
            CheckpointMismatchError: projector weights are missing, or tensors are unexpected or of another
                shape.
        """
        known = {name.partition(".")[0] for name in state} | {"projector"}
        self._copy(state, {one for one in self.trainable_state_dict() if one.partition(".")[0] in known})
        self.aligned = True

    def _copy(self, state: Mapping[str, Tensor], wanted: Set[str]) -> None:
        """Copy the tensors of `state`, which must be those of `wanted`, into the model."""
        _same_names(wanted, state.keys())
        mine = {name: tensor for name, tensor in self.named_parameters() if name in wanted}
        for name, tensor in mine.items():
            if tensor.shape != state[name].shape:
                raise CheckpointMismatchError(
                    f"tensor {name} is {list(state[name].shape)} in the checkpoint and {list(tensor.shape)} "
                    "in the model: build the model with the configuration the checkpoint was trained with"
                )
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor.copy_(state[name])

    def parameter_report(self) -> dict[str, dict[str, int]]:
        """Numbers of parameters, "total", "trainable" and "frozen", of vision, projector, llm and all."""
        parts = {"vision": self.vision, "projector": self.projector, "llm": self.llm, "all": self}
        return {name: _count(part) for name, part in parts.items()}


def _padded_right(attention_mask: Tensor) -> bool:
    """Whether all padding stands to the right of what is read."""
    return bool((attention_mask.diff(dim=1) <= 0).all())


def _positions(attention_mask: Tensor) -> Tensor:
    """[B, T]: every token's place in its own row, padding not counted."""
    return (attention_mask.cumsum(dim=1) - 1).clamp(min=0)


def _count(part: nn.Module) -> dict[str, int]:
    total = sum(tensor.numel() for tensor in part.parameters())
    trainable = sum(tensor.numel() for tensor in part.parameters() if tensor.requires_grad)
    return {"total": total, "trainable": trainable, "frozen": total - trainable}


def _same_names(wanted: Set[str], found: Set[str]) -> None:
    """Refuse a checkpoint whose tensors are not exactly the model's trainable ones."""
    complaints = []
    if missing := wanted - found:
        complaints.append(f"lacks {len(missing)} tensors of the model (first: {min(missing)})")
    if unexpected := found - wanted:
        complaints.append(f"has {len(unexpected)} that the model does not train (first: {min(unexpected)})")
    if complaints:
        raise CheckpointMismatchError(
            f"the checkpoint {' and '.join(complaints)}: "
            "build the model with the configuration the checkpoint was trained with"
        )
