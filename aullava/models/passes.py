"""The passes that fast decoding is made of: a common beginning, questions with drafted answers, corrections.

Every method touches weights of the whole model, so on a sharded model (FSDP2) each is to be registered with
`register_fsdp_forward_method`; `PASSES` names them.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from aullava.models.errors import ModelError
from aullava.models.key_values import KeyValues
from aullava.models.tree import reading
from aullava.models.vision import VisionEncoder

PASSES: Final = ("read_beginning", "read_questions", "read_on", "judged", "scored", "check_head")
"""Methods of `AnswerPasses` that need the weights gathered."""

HEAD_ELEMENTS: Final = 2**24
"""Logits held at a time: the head over a whole vocabulary at every token of a batch of answers would take
gigabytes (64 rows, 233 tokens, 49152 words: 2.9 GB)."""


class AnswerPasses(nn.Module):
    """What decoding needs of the model, part by part; all of it without gradient and in eval mode."""

    vision: VisionEncoder
    projector: nn.Module
    llm: PreTrainedModel | PeftModel

    @torch.no_grad()
    def see(self, pixel_values: Tensor) -> Tensor:
        """Features [B, N, D] of the frozen encoder; what several questions about a face share."""
        features: Tensor = self.vision(pixel_values)
        return features

    @torch.no_grad()
    def read_beginning(self, ids: Tensor) -> KeyValues:
        """Read what stands before the image in every row of a question.

        Args:
            ids: int64 [P], at least one.
        """
        state = KeyValues.empty(self._layers(), len(ids))
        self._hidden(self._words(ids[None]), state)
        return state

    @torch.no_grad()
    def read_questions(
        self,
        features: Tensor,
        ids: Tensor,
        image: Tensor,
        drafts: Tensor,
        state: KeyValues,
        paths: Tensor | None = None,
    ) -> Tensor:
        """Read the rest of one question about every face, and the beginning of every face's drafted answer.

        Args:
            features: [B, N, D] from `see`.
            ids: int64 [Q], the question from where `state` ends; its last one is followed by the answer.
            image: bool [Q], true at the N places of the image.
            drafts: int64 [B, k], the first tokens of the answers; k may be 0.
            state: of B rows (or fresh), moved on by Q + k.
            paths: int64 [k, D], the branches that the last k tokens belong to, as `aullava.models.tree` has
                them; None: they are one text.

        Returns:
            Hidden states [B, k + 1, H]: after the question and after each drafted token.

        Raises:
            ModelError: there are not as many image places as features.
        """
        if int(image.sum()) != features.shape[1]:
            raise ModelError(
                f"a question has {int(image.sum())} image places, but the encoder gives {features.shape[1]} "
                "tokens: build the collator with this encoder's num_tokens"
            )
        tokens = self.projector(features.to(next(self.projector.parameters()).dtype))
        words = self._words(ids)
        rows = words[None].repeat(len(features), 1, 1)
        rows[:, image] = tokens.to(words.dtype)
        hidden = self._hidden(torch.cat([rows, self._words(drafts)], dim=1), state, paths)
        return hidden[:, len(ids) - 1 :]

    @torch.no_grad()
    def read_on(self, ids: Tensor, state: KeyValues, paths: Tensor | None = None) -> Tensor:
        """Read more tokens [B, k] of every row; hidden states [B, k, H] after each.

        Args:
            ids: they.
            state: of B rows, moved on by k.
            paths: int64 [n, D], the branches that the last n of them belong to; None: they are one text.
        """
        return self._hidden(self._words(ids), state, paths)

    @torch.no_grad()
    def judged(self, hidden: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The likeliest word of the whole vocabulary at every place, and the logits of a few words.

        Args:
            hidden: [B, k, H].
            columns: int64 [C], the ids of these words.

        Returns:
            Ids [B, k], and logits [B, k, C] float32.
        """
        head = self._head()
        flat = hidden.reshape(-1, hidden.shape[-1])
        best, some = [], []
        for part in torch.split(flat, max(1, HEAD_ELEMENTS // head.weight.shape[0])):
            logits = head(part)
            best.append(logits.max(dim=-1).indices)  # argmax takes six times as long in bf16 on a CPU
            some.append(logits[:, columns].float())
        places = hidden.shape[:2]
        return torch.cat(best).view(places), torch.cat(some).view(*places, -1)

    @torch.no_grad()
    def scored(self, hidden: Tensor, columns: Tensor) -> Tensor:
        """The logits of a few words only, [B, k, C] float32: the head runs on their rows alone."""
        head = self._head()
        bias = None if head.bias is None else head.bias[columns]
        return F.linear(hidden, head.weight[columns], bias).float()

    def check_head(self) -> None:
        """Refuse a language model that does more to its logits than a linear head (it may scale or cap them).

        Raises:
            ModelError: the head's own output is not the model's.
        """
        word = self._words(torch.zeros(1, 1, dtype=torch.int64, device=self._head().weight.device))
        with torch.no_grad():
            whole = self.llm(inputs_embeds=word, use_cache=False).logits
            alone = self._head()(self._decoder()(inputs_embeds=word, use_cache=False).last_hidden_state)
        if not torch.allclose(whole, alone, rtol=1e-3, atol=1e-4):
            raise ModelError(
                f"the language model ({type(self._base()).__name__}) changes its logits after the head: "
                "write decoding=generate"
            )

    def check_branches(self) -> None:
        """Refuse a language model that lets the branches of a row see each other.

        Some attention ignores a mask that is handed in, or counts places by itself.

        Raises:
            ModelError: a branch is not read as it is alone.
        """
        device = next(self.llm.parameters()).device
        tokens = torch.arange(24, device=device)
        trunk, one, other = tokens[:16], tokens[16:20], tokens[20:]
        forks = torch.tensor([0] * 16 + [1] * 4 + [2] * 4, device=device)[:, None]
        with torch.no_grad():
            row = self._words(torch.cat([trunk, one, other])[None])
            together = self._hidden(row, KeyValues.empty(self._layers(), 24), forks)[:, -4:]
            row = self._words(torch.cat([trunk, other])[None])
            alone = self._hidden(row, KeyValues.empty(self._layers(), 20))[:, -4:]
        apart = float((together - alone).float().abs().max())
        if not apart <= (1e-3 if alone.dtype == torch.float32 else 0.1) * float(alone.float().abs().max()):
            raise ModelError(
                f"the language model ({type(self._base()).__name__}) mixes independent answers: "
                "write answer.independent=false, or llm.attention=sdpa"
            )

    def _hidden(self, embeddings: Tensor, state: KeyValues, paths: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer after each of `embeddings`, which join `state`."""
        start = state.length
        positions = torch.arange(start, start + embeddings.shape[1], device=embeddings.device)
        told: dict[str, Any] = {"position_ids": positions[None]}
        if paths is not None:
            trunk = paths.new_zeros(start + embeddings.shape[1] - len(paths), paths.shape[1])
            told = reading(self.llm, torch.cat([trunk, paths])[None], start)
        told["position_ids"] = told["position_ids"].expand(len(embeddings), -1)
        hidden: Tensor = self._decoder()(
            inputs_embeds=embeddings,
            **told,
            past_key_values=state,
            use_cache=True,
        ).last_hidden_state
        return hidden

    def _words(self, ids: Tensor) -> Tensor:
        words: Tensor = self.llm.get_input_embeddings()(ids)
        return words

    def _base(self) -> PreTrainedModel:
        """The causal language model inside the adapter, whose layers carry the adapter's updates."""
        if isinstance(self.llm, PeftModel):
            inside: Any = self.llm.get_base_model()
            base: PreTrainedModel = inside
            return base
        return self.llm

    def _decoder(self) -> nn.Module:
        base: Any = self._base()  # transformers does not annotate these two
        decoder: nn.Module = base.get_decoder()
        return decoder

    def _head(self) -> nn.Linear:
        base: Any = self._base()
        head = base.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise ModelError(
                f"the language model's head is a {type(head).__name__} and no linear layer: "
                "write decoding=generate"
            )
        return head

    def _layers(self) -> int:
        return int(self.llm.config.num_hidden_layers)
