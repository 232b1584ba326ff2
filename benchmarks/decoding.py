"""How fast answers are decoded, against transformers' generate on the same weights and inputs.

    python benchmarks/decoding.py [--small] [--dtype bfloat16] [--batches 1,8]

A language model of SmolLM2-135M's size (LLaMA, 768 x 12, 134M parameters) behind a CLIP of 196 image tokens,
with random weights: speed does not hang on what was learned, except through the drafts. So ours is measured
with a right draft, with one wrong decision in the middle of the answer, and with a blank one; what drafts are
worth on a trained model is printed by `aullava predict` (passes an answer). One thread; processor time; the
ways take turns (A B A B), ratios are medians of the ratios of one turn. Every answer is compared with the
reference's first.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aullava.decoding.generate import answer_prompts
from aullava.decoding.one_pass import OnePass
from aullava.models.projector import build_projector
from aullava.models.vision import as_encoder
from aullava.models.vlm import FaceLanguageModel
from aullava.text.answer import Answer
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import QuestionStyle
from benchmarks.kinds.independent import independent_way
from datamodules.action_units import BP4D_AUS, FEAFA_AUS, UNKNOWN, Scale
from datamodules.sample import AUSample

RESULTS = Path(__file__).resolve().parent / "results"
ASKED = {
    "presence": (Scale.PRESENCE, BP4D_AUS),
    "level": (Scale.LEVEL, BP4D_AUS[:8]),
    "intensity": (Scale.INTENSITY, FEAFA_AUS),
}
WANTED = {
    "presence/b1/ours_over_prefill": ("<=", 1.35),
    "presence/b8/ours_over_prefill": ("<=", 1.5),
    "presence/b1/independent_over_prefill": ("<=", 0.95),
    "intensity/b1/ours_over_prefill": ("<=", 1.7),
    "intensity/b8/ours_over_prefill": ("<=", 2.0),
}
WANTED_BF16 = {
    "presence/b1/generate_over_ours": (">=", 8.0),
    "intensity/b1/generate_over_ours": (">=", 14.0),
}


@dataclass(frozen=True)
class Shape:
    """Sizes of the two parts."""

    width: int
    layers: int
    vision_width: int
    vision_layers: int
    side: int  # image tokens a side
    vocabulary: int = 32000


MID, SMALL = Shape(768, 12, 384, 12, 14), Shape(256, 4, 128, 2, 8, 4000)


def tokenizer() -> Any:
    """Characters as tokens but "AU": about seven tokens for an Action Unit, as LLaMA's tokenizer has 6.6."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<s>", "</s>", "<image>", "<pad>", *alphabet, "AU"]
    raw = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, [("A", "U")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    build: Any = PreTrainedTokenizerFast
    made = build(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    made.name_or_path = "characters"
    return made


def build(shape: Shape, dtype: torch.dtype) -> tuple[FaceLanguageModel, Any]:
    """Our model, and transformers' LLaVA that holds the very same modules."""
    torch.manual_seed(0)
    patch = 16
    vision_config = CLIPVisionConfig(
        hidden_size=shape.vision_width,
        intermediate_size=4 * shape.vision_width,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.vision_width // 64,
        image_size=shape.side * patch,
        patch_size=patch,
    )
    text_config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=round(shape.width * 8 / 3),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // 64,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        initializer_range=0.05,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=3,
    )
    vision, llm = CLIPVisionModel(vision_config).to(dtype), LlamaForCausalLM(text_config).to(dtype)
    projector: Any = build_projector("linear", shape.vision_width, shape.width).to(dtype)
    encoder = as_encoder(vision, vision_config.image_size, "patches", (shape.vision_layers,))
    ours = FaceLanguageModel(encoder, projector, llm).eval()
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=text_config,
        image_token_index=2,
        projector_hidden_act="linear",
        vision_feature_layer=-1,
    )
    with torch.device("meta"):
        llava: Any = LlavaForConditionalGeneration(config)
    llava.model.vision_tower, llava.model.language_model, llava.lm_head = vision, llm.model, llm.lm_head
    second = torch.nn.Linear(shape.width, shape.width).to(dtype)
    torch.nn.init.eye_(second.weight)
    torch.nn.init.zeros_(second.bias)
    theirs = llava.model.multi_modal_projector
    theirs.linear_1, theirs.linear_2 = projector, second
    return ours, llava.eval()


class Told:
    """Drafts that are handed in."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> np.ndarray | None:
        """What was told."""
        return self.values


def half_wrong(answers: Sequence[Answer]) -> np.ndarray:
    """The answers with the Action Unit in the middle changed."""
    values = np.stack([answer.values for answer in answers])
    middle = values.shape[1] // 2
    values[:, middle] = np.where(values[:, middle] == 0, 1, 0)
    return values


class Bench:
    """Everything that one size and dtype is measured with.

    Args:
        shape: of the model.
        dtype: of all weights.
    """

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        self.model, self.llava = build(shape, dtype)
        size = shape.side * 16
        self.collator = Collator(
            tokenizer(),
            QuestionStyle(definitions=False),
            AnswerForm.NAMED,
            shape.side**2,
            lambda images: torch.stack([torch.from_numpy(one).permute(2, 0, 1) / 255 for one in images]),
            2048,
        )
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (64, size, size, 3), dtype=np.uint8)

    def prompts(self, kind: str, rows: range) -> PromptBatch:
        """Questions about some of the images."""
        scale, aus = ASKED[kind]
        unknown = np.full(len(aus), UNKNOWN, np.float32)
        samples = [AUSample(str(n), "x", "x", self.images[n], tuple(aus), unknown, scale) for n in rows]
        return self.collator.prompts(samples, ask_unknown=True)

    def ways(self, kind: str, prompts: PromptBatch) -> tuple[dict[str, Callable[[], Any]], dict[str, float]]:
        """What is measured, and what is known of it: tokens, passes."""
        scale, aus = ASKED[kind]
        answers = answer_prompts(self.model, self.collator, prompts)
        length = len(self.collator.prompt(tuple(aus), scale).grammar.steps)
        inputs = {
            "input_ids": prompts.input_ids.masked_fill(prompts.image_mask, 2),
            "pixel_values": prompts.pixel_values.to(next(self.model.parameters()).dtype),
            "attention_mask": prompts.attention_mask,
        }
        right = np.stack([answer.values for answer in answers])
        drafts = {"ours_right": right, "ours": half_wrong(answers), "ours_blank": right * 0}
        ways: dict[str, Callable[[], Any]] = {
            "prefill": lambda: self.llava(**inputs, use_cache=True, logits_to_keep=1),
            "generate": lambda: self.llava.generate(
                **inputs, do_sample=False, max_new_tokens=length, min_new_tokens=length, eos_token_id=None
            ),
            "forced": lambda: answer_prompts(self.model, self.collator, prompts),
        }
        known: dict[str, float] = {
            "question_tokens": prompts.input_ids.shape[1],
            "shared_tokens": self.collator.prompt(tuple(aus), scale).image.index(True),
            "answer_tokens": length,
        }
        settings = {name: (values, True) for name, values in drafts.items()}
        settings["ours_unshared"] = (drafts["ours"], False)
        for name, (values, share) in settings.items():
            told = Told()
            told.values = values
            decoder = OnePass(self.model, self.collator, told, share=share)
            found = decoder.answers(prompts)
            agree = sum(one.text == other.text for one, other in zip(found, answers, strict=True))
            known[f"{name}/equal"] = agree / len(answers)
            known[f"{name}/passes"] = decoder.counts.passes_per_row
            ways[name] = lambda decoder=decoder: decoder.answers(prompts)
        ways["independent"], more = independent_way(self.model, self.collator, prompts)
        return ways, known | more


@torch.no_grad()
def measure(ways: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of processor time of each way in each turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns):
        names = list(ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            ways[name]()
            taken[name].append(time.process_time() - start)
    return taken


@torch.no_grad()
def pass_overhead(bench: Bench) -> float:
    """Tokens whose time a pass of one row takes before its first token (the constants of `PassCost`)."""
    state = bench.model.read_beginning(torch.zeros(256, dtype=torch.int64)).after(600)
    counts, seconds = [1, 16, 64, 256], []
    for count in counts:
        times = []
        for _ in range(3):
            state.cut_back(256)
            start = time.process_time()
            bench.model.read_on(torch.zeros(1, count, dtype=torch.int64), state)
            times.append(time.process_time() - start)
        seconds.append(min(times))
    slope, start = np.polyfit(counts, seconds, 1)
    return float(start / slope)


def cell(bench: Bench, kind: str, rows: int, turns: int, slow: bool) -> dict[str, Any]:
    """One format at one batch size: medians, ratios, passes."""
    ways, known = bench.ways(kind, bench.prompts(kind, range(rows)))
    if not slow:
        del ways["generate"]
    taken = measure(ways, turns)
    found: dict[str, Any] = {f"{name}_seconds": statistics.median(times) for name, times in taken.items()}
    pairs = [("prefill", name) for name in taken if name.startswith(("ours", "independent"))]
    for base, name in pairs:
        ratios = [a / b for a, b in zip(taken[name], taken[base], strict=True)]
        found[f"{name}_over_{base}"] = statistics.median(ratios)
    for base in ("generate", "forced"):
        if base in taken:
            ratios = [a / b for a, b in zip(taken[base], taken["ours"], strict=True)]
            found[f"{base}_over_ours"] = statistics.median(ratios)
    return found | known


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a small model, few turns")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batches", default="1,8", help="sizes of batches")
    parser.add_argument("--formats", default="presence,level,intensity")
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(SMALL if chosen.small else MID, getattr(torch, chosen.dtype))
    found: dict[str, Any] = {"pass_overhead_tokens": pass_overhead(bench)}
    wanted = WANTED if chosen.dtype == "float32" else WANTED_BF16
    print(f"a pass costs {found['pass_overhead_tokens']:.1f} tokens before its first")
    for rows in map(int, chosen.batches.split(",")):
        for kind in chosen.formats.split(","):
            values = cell(bench, kind, rows, chosen.turns, slow=rows <= 8)
            for name, value in values.items():
                key = f"{kind}/b{rows}/{name}"
                found[key] = value
                sign, bound = ("", 0.0) if chosen.small else wanted.get(key, ("", 0.0))
                held = value >= bound if sign == ">=" else value <= bound
                said = f"   {sign} {bound:g}: {held}" if sign else ""
                print(f"{key:<42}{value:>10.3f}{said}", flush=True)
    words = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(words, capture_output=True, text=True, check=False)
    found |= {"machine": platform.platform(), "torch": torch.__version__, "commit": commit.stdout.strip()}
    found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    RESULTS.mkdir(exist_ok=True)
    kind = "_small" if chosen.small else "" if chosen.dtype == "float32" else f"_{chosen.dtype}"
    (RESULTS / f"decoding{kind}.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {RESULTS / f'decoding{kind}.json'}")


if __name__ == "__main__":
    main()
