"""How much memory a training step needs on each device, worked out on the meta device: nothing is loaded.

Weights, gradients and moments are counted. Activations are what autograd keeps for the backward pass of one
and of two blocks, and the difference for every further one. Not counted are what a kernel needs for a moment,
the vision encoder's forward pass (nothing of it is kept) and what an allocator holds back.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import AttentionInterface, AutoModel, AutoModelForCausalLM

from aullava.models.adapters import add_lora

GRADIENT, MOMENTS = 4, 8
"""Bytes per trained weight, which is fp32: its gradient; AdamW's two moments."""
_FUSED: Final = "aullava_memory_fused"
_EAGER: Final = "aullava_memory_eager"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter, as `add_lora` takes it; kind "none" for none."""

    kind: str
    r: int
    alpha: int
    dropout: float
    targets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Step:
    """One training step on one device.

    Attributes:
        batch: sequences.
        tokens: in each, image tokens included.
        image_tokens: of these.
        supervised: of the others.
        mixed: whether products are computed in half precision.
        checkpointing: whether the inside of a block is computed again in the backward pass.
        eager: whether attention keeps its weights, as "eager" does; every other kind is fused.
    """

    batch: int
    tokens: int
    image_tokens: int
    supervised: int
    mixed: bool
    checkpointing: bool
    eager: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device.

    Attributes:
        tower: of the frozen vision encoder.
        frozen: of the frozen language model.
        trained: of the trained weights.
        gradients: of these.
        moments: of these.
        activations: kept for the backward pass.
        halves: half-precision copies of frozen fp32 weights, with mixed precision.
        block: of the largest block of the language model, frozen and trained weights.
    """

    tower: int
    frozen: int
    trained: int
    gradients: int
    moments: int
    activations: int
    halves: int
    block: int

    @property
    def total(self) -> int:
        """Of a device that holds everything (one device, or each of ddp)."""
        weights = self.tower + self.frozen + self.trained + self.halves
        return weights + self.gradients + self.moments + self.activations

    def sharded(self, devices: int) -> int:
        """Of each device when all but the tower is sharded (fsdp); two blocks at a time are gathered."""
        shared = self.frozen + self.trained + self.gradients + self.moments
        gathered = 2 * self.block if devices > 1 else 0
        return self.tower + self.halves + -(-shared // devices) + gathered + self.activations


def tower_memory(config: Any, dtype: torch.dtype) -> int:
    """Bytes of the weights of a vision encoder, by its config."""
    auto: Any = AutoModel  # its from_config carries no types
    with torch.device("meta"):
        tower: nn.Module = auto.from_config(config)
    return int(sum(tensor.numel() for tensor in tower.parameters())) * dtype.itemsize


def training_memory(
    tower: int, config: Any, dtype: torch.dtype, projector: nn.Module, adapter: Adapter, step: Step
) -> Memory:
    """What a training step needs.

    Args:
        tower: bytes of the vision encoder.
        config: of the language model.
        dtype: of its weights.
        projector: on the meta device.
        adapter: what is trained on the language model.
        step: its sizes.
    """
    attention = _EAGER if step.eager else _FUSED
    whole = _language_model(config, dtype, adapter, int(config.num_hidden_layers), attention)
    trained = sum(tensor.numel() for tensor in whole.parameters() if tensor.requires_grad)
    trained += sum(tensor.numel() for tensor in projector.parameters())
    frozen = sum(tensor.nbytes for tensor in whole.parameters() if not tensor.requires_grad)
    blocks = max((one for one in whole.modules() if isinstance(one, nn.ModuleList)), key=len)
    shallow = (_language_model(config, dtype, adapter, depth, attention) for depth in (1, 2))
    one, two = (_kept(llm, projector, step) for llm in shallow)
    per_block, further = two - one, int(config.num_hidden_layers) - 1
    activations = one + further * per_block
    if step.checkpointing:
        entering = step.batch * step.tokens * config.hidden_size * dtype.itemsize
        activations = one + further * entering + entering
    return Memory(
        tower=tower,
        frozen=frozen,
        trained=4 * trained,
        gradients=GRADIENT * trained,
        moments=MOMENTS * trained,
        activations=activations,
        halves=_halves(whole) + tower // 2 if step.mixed and dtype.itemsize == 4 else 0,
        block=sum(tensor.nbytes for tensor in blocks[0].parameters()),
    )


def _halves(model: nn.Module) -> int:
    """Bytes of the frozen linear layers in half precision (`aullava.models.half`)."""
    layers = [one for one in model.modules() if isinstance(one, nn.Linear)]
    return sum(2 * one.weight.numel() for one in layers if not one.weight.requires_grad)


def _language_model(config: Any, dtype: torch.dtype, adapter: Adapter, depth: int, attention: str) -> Any:
    """The model with so many blocks, without memory."""
    shallow = copy.deepcopy(config)
    shallow.num_hidden_layers = depth
    if getattr(shallow, "layer_types", None):
        shallow.layer_types = shallow.layer_types[:depth]
    AttentionInterface.register(_FUSED, _fused)
    AttentionInterface.register(_EAGER, _eager)
    auto: Any = AutoModelForCausalLM  # its from_config carries no types
    with torch.device("meta"):
        llm = auto.from_config(shallow, attn_implementation=attention).to(dtype).requires_grad_(False)
        if adapter.kind == "none":
            return llm.train()
        targets = list(adapter.targets)
        return add_lora(llm, adapter.r, adapter.alpha, adapter.dropout, targets, adapter.kind).train()


def _kept(llm: Any, projector: nn.Module, step: Step) -> int:
    """Bytes that autograd keeps of a forward pass: every storage once, weights left out."""
    dtype = llm.get_input_embeddings().weight.dtype
    adapted: list[Any] = [one for one in llm.modules() if hasattr(one, "lora_A")]
    if step.mixed:
        for one in adapted:  # autocast computes with halves of the trained weights, and of their inputs
            one.lora_A.to(dtype)["default"].register_forward_pre_hook(_copied)
            one.lora_B.to(dtype)
    # Storages are held, so that their ids stay their own.
    held = [tensor.untyped_storage() for tensor in (*llm.parameters(), *projector.parameters())]
    weights, kept = {id(storage) for storage in held}, dict[int, Any]()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _forward(llm, projector, step)
    # The noise of a dropout is as wide as the trained weights, which are fp32.
    wider = step.batch * step.tokens * (4 - dtype.itemsize)
    noisy = [one for one in adapted if isinstance(one.lora_dropout["default"], nn.Dropout)]
    noise: int = wider * sum(int(one.in_features) for one in noisy)
    bytes_kept: int = sum(storage.nbytes() for storage in kept.values())
    return bytes_kept + noise


def _copied(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].clone(),)


def _forward(llm: Any, projector: nn.Module, step: Step) -> Tensor:
    """As `FaceLanguageModel.forward`, with the image in front: where it stands costs nothing."""
    first = next(one for one in projector.modules() if isinstance(one, nn.Linear))
    table = llm.get_input_embeddings()
    with torch.device("meta"):
        features = torch.empty(step.batch, step.image_tokens, first.in_features)
        ids = torch.empty(step.batch, step.tokens - step.image_tokens, dtype=torch.int64)
        labels = torch.empty(step.batch * step.supervised, dtype=torch.int64)
    embedded = torch.cat([projector(features).to(table.weight.dtype), table(ids)], dim=1)
    base: Any = llm.get_base_model() if isinstance(llm, PeftModel) else llm
    hidden = getattr(base, base.base_model_prefix)(inputs_embeds=embedded, use_cache=False).last_hidden_state
    logits = base.get_output_embeddings()(hidden[:, -step.supervised :].flatten(0, 1))
    return F.cross_entropy(logits.float(), labels)


class _Fused(torch.autograd.Function):
    """Keeps what a fused attention keeps: its inputs, its output and a logarithm per row and head."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty_like(query)
        logarithms = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, logarithms)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.saved_tensors[0], ctx.saved_tensors[1], ctx.saved_tensors[2]


def _fused(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention in transformers' own form [B, T, H, D], without computing any."""
    return _Fused.apply(query, key, value).transpose(1, 2), None  # type: ignore[no-untyped-call]


def _eager(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """The same as two products, whose weights [B, H, T, T] are kept; its mask would add nothing to that."""
    groups = query.shape[1] // key.shape[1]  # of queries that share keys and values
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    weights = (query @ key.transpose(-1, -2)).softmax(-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).transpose(1, 2), None
