"""Tiny random checkpoints of the supported families, saved in the formats that the real ones have."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from aullava.text.tokens import Tokenizer
from tests.checkpoints import IMAGE, PATCH, WIDTH
from tests.text.helpers import byte_level_bpe

DEPTH = 3
REGISTERS = 4
ENCODERS = ("clip", "clip whole", "siglip", "siglip whole", "dinov2", "dinov2 registers")
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi", "phi3", "gpt_neox")
_SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 2,
}
_VISION: dict[str, Any] = {**_SIZES, "image_size": IMAGE, "patch_size": PATCH}


def write_encoder(kind: str, folder: Path) -> Any:
    """An encoder with its image processor; returns the vision model as transformers has it, in eval mode."""
    torch.manual_seed(11)
    text = {**_SIZES, "vocab_size": 50}
    made: dict[str, Any] = {
        "clip": lambda: CLIPVisionModel(CLIPVisionConfig(**_VISION)),
        "clip whole": lambda: CLIPModel(CLIPConfig(text_config=text, vision_config=_VISION)),
        "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**_VISION)),
        "siglip whole": lambda: SiglipModel(SiglipConfig(text_config=text, vision_config=_VISION)),
        "dinov2": lambda: Dinov2Model(Dinov2Config(**{**_VISION, "image_size": 2 * IMAGE})),
        "dinov2 registers": lambda: Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**{**_VISION, "image_size": 2 * IMAGE}, num_register_tokens=REGISTERS)
        ),
    }
    model = made[kind]().eval()
    model.save_pretrained(folder)
    write_processor(kind, folder)
    return model.vision_model if kind.endswith("whole") else model


def write_processor(kind: str, folder: Path, size: int = IMAGE) -> None:
    square = {"height": size, "width": size}
    if kind.startswith("siglip"):
        SiglipImageProcessorPil(size=square).save_pretrained(folder)
        return
    processor: Any = CLIPImageProcessorPil if kind.startswith("clip") else BitImageProcessorPil
    processor(size={"shortest_edge": size}, crop_size=square).save_pretrained(folder)


def prefix(kind: str) -> int:
    return {"siglip": 0, "siglip whole": 0, "dinov2 registers": 1 + REGISTERS}.get(kind, 1)


def write_family(family: str, folder: Path) -> Any:
    """A causal language model of a family with a tokenizer; returns transformers' own, in eval mode."""
    torch.manual_seed(12)
    tokenizer: Any = byte_level_bpe(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<spare>")
    tokenizer.save_pretrained(folder)
    grouped = {"num_key_value_heads": 2} if family in ("mistral", "qwen2", "qwen3") else {}
    config = AutoConfig.for_model(
        family,
        **{**_SIZES, **grouped, "num_attention_heads": 4},
        vocab_size=len(tokenizer),
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    auto: Any = AutoModelForCausalLM
    model = auto.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def write_llava(folder: Path, tower: str = "clip", act: str = "gelu", layer: int = -2, **options: Any) -> Any:
    """A LlavaForConditionalGeneration with processor and tokenizer; returns it in eval mode."""
    torch.manual_seed(13)
    tokenizer: Any = byte_level_bpe(bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<spare>")
    tokenizer.save_pretrained(folder)
    vision: Any = {"clip": CLIPVisionConfig, "siglip": SiglipVisionConfig}[tower]
    text = LlamaConfig(
        **{**_SIZES, "num_attention_heads": 4},
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision(**_VISION),
        text_config=text,
        image_token_index=tokenizer.unk_token_id,
        projector_hidden_act=act,
        vision_feature_layer=layer,
        vision_feature_select_strategy="full" if tower == "siglip" else "default",
        **options,
    )
    model: Any = LlavaForConditionalGeneration(config)
    projector = model.model.multi_modal_projector
    for tensor in projector.parameters():
        torch.nn.init.normal_(tensor, std=0.3)
    if act == "linear":  # as a single linear layer is written: the second one changes nothing
        torch.nn.init.eye_(projector.linear_2.weight)
        torch.nn.init.zeros_(projector.linear_2.bias)
    model.save_pretrained(folder)
    write_processor(tower, folder)
    return model.eval()


def sentencepiece_bpe(legacy: bool = True) -> Tokenizer:
    """A tokenizer as LLaMA's and Vicuna's: characters, bytes, and a blank before every text.

    `legacy` writes the blank by a normalizer, as converted checkpoints do; else by the pre-tokenizer.
    """
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["\u2581", *(chr(code) for code in range(33, 127)), "\u2581A", "AU", "\u2581AU"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [("\u2581", "A"), ("A", "U"), ("\u2581", "AU")]
    raw = RawTokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if legacy:
        raw.normalizer = normalizers.Sequence(
            [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
        )
    else:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    raw.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    build: Any = PreTrainedTokenizerFast
    tokenizer = build(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.name_or_path = "small-sentencepiece"
    return cast(Tokenizer, tokenizer)
