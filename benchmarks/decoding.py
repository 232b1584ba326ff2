"""How fast answers are decoded, against transformers' generate on the same weights and inputs.

    python benchmarks/decoding.py [--small] [--dtype bfloat16] [--batches 1,8,32] [--equal]
    python benchmarks/decoding.py --run runs/demo/1 --export FOLDER    # of `aullava export`

A language model of SmolLM2-135M's size (LLaMA, 768 x 12, 134M parameters) behind a CLIP of 196 image tokens,
with random weights: speed does not hang on what was learned, except through the drafts. So ours is measured
with a right draft, with one wrong decision in the middle of the answer, and with a blank one. With --run the
weights are those of a trained run, transformers' are those of its export, the faces are of people it has not
seen, and "ours" has the drafts that `aullava predict` would have for pictures: the run's probes, or the
commonest choices of 16 other faces. One thread; processor time; the ways take turns (A B A B), ratios are
medians of the ratios of one turn. Every answer is compared with the reference's first; --equal does so for 64
faces in each format, with the probabilities. Results are added to `benchmarks/results/decoding.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
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

from aullava.build import build_collator, build_model
from aullava.config.load import resolve
from aullava.decoding.cost import PassCounts
from aullava.decoding.drafts import Reader
from aullava.decoding.generate import answer_prompts
from aullava.decoding.one_pass import OnePass
from aullava.export.merge import merged
from aullava.models.projector import build_projector
from aullava.models.vision import as_encoder
from aullava.models.vlm import FaceLanguageModel
from aullava.probe_files import KeptProbes
from aullava.text.answer import Answer
from aullava.text.batch import PromptBatch
from aullava.text.collate import Collator
from aullava.text.grammar import AnswerForm
from aullava.text.question import QuestionStyle
from aullava.training.checkpoint import load_weights
from aullava.vocabulary import vocabulary
from benchmarks.kinds.independent import independent_way
from benchmarks.shared.place import commit, processor
from datamodules.action_units import BP4D_AUS, FEAFA_AUS, UNKNOWN, Scale
from datamodules.drawn_faces.scene import draw_face
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
    "bf16/presence/b1/generate_over_ours": (">=", 8.0),
    "bf16/intensity/b1/generate_over_ours": (">=", 14.0),
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

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> np.ndarray:
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
        self.image_id = 2
        self.reader: Reader | None = None
        self.trained = False

    @classmethod
    def of_run(cls, run: Path, export: Path, dtype: torch.dtype) -> Bench:
        """A trained run, its adapter merged, and its export; faces of people that it has not seen."""
        config = resolve(run / "config.yaml", (), vocabulary()).config
        bench = cls.__new__(cls)
        model = build_model(config)
        load_weights(model, run)
        bench.collator = build_collator(config, model)
        bench.model = merged(model, dtype)
        bench.llava = LlavaForConditionalGeneration.from_pretrained(export, dtype=dtype).eval()
        bench.image_id = bench.llava.config.image_token_index
        bench.images = np.stack([draw_face(99, number, 0, 96)[0] for number in range(64)])
        bench.reader = KeptProbes.of_run(run)
        bench.trained = True
        return bench

    def drafted(self, kind: str, decoder: OnePass) -> OnePass:
        """A decoder that has answered about the last 16 faces."""
        if self.trained:
            decoder.answers(self.prompts(kind, range(48, 64)))
            decoder.counts = PassCounts()
        return decoder

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
            "input_ids": prompts.input_ids.masked_fill(prompts.image_mask, self.image_id),
            "pixel_values": prompts.pixel_values.to(next(self.model.parameters()).dtype),
            "attention_mask": prompts.attention_mask,
        }
        right = np.stack([answer.values for answer in answers])
        drafts: dict[str, np.ndarray | None] = {"ours_right": right, "ours_blank": right * 0}
        drafts["ours"] = None if self.trained else half_wrong(answers)
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
            reader = self.reader if values is None else Told(values)
            decoder = OnePass(self.model, self.collator, reader, share=share)
            if values is None:
                self.drafted(kind, decoder)
            found = decoder.answers(prompts)
            agree = sum(one.text == other.text for one, other in zip(found, answers, strict=True))
            known[f"{name}/equal"] = agree / len(answers)
            known[f"{name}/passes"] = decoder.counts.passes_per_row
            known[f"{name}/tokens_read_per_answer"] = decoder.counts.tokens / len(answers)
            ways[name] = lambda decoder=decoder: decoder.answers(prompts)
        ways["independent"], more = independent_way(self.model, self.collator, prompts)
        return ways, known | more


def equality(bench: Bench, kind: str) -> dict[str, float]:
    """Answers about all faces, in batches of 1 to 16, against the reference token by token."""
    decoder, first, faces, equal, furthest = OnePass(bench.model, bench.collator), 0, 64, 0, 0.0
    for size in (1, 3, 12, 16, 16, 16):
        prompts = bench.prompts(kind, range(first, first + size))
        wanted = answer_prompts(bench.model, bench.collator, prompts)
        for one, other in zip(decoder.answers(prompts), wanted, strict=True):
            equal += one.text == other.text
            furthest = max(furthest, float(np.abs(one.slot_probs - other.slot_probs).max()))
        first += size
    return {"equal_of_64": float(equal), "largest_difference_of_probability": furthest, "faces": faces}


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
    for name in [] if slow else ["generate", "ours_blank", "ours_unshared"]:
        del ways[name]
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
    parser.add_argument("--equal", action="store_true", help="only compare the answers about 64 faces")
    parser.add_argument("--run", type=Path, help="a trained run instead of random weights")
    parser.add_argument("--export", type=Path, help="its export")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, chosen.dtype)
    if chosen.run is not None:
        bench = Bench.of_run(chosen.run, chosen.export, dtype)
    else:
        bench = Bench(SMALL if chosen.small else MID, dtype)
    section = ("" if chosen.run is None else "trained/") + ("" if chosen.dtype == "float32" else "bf16/")
    found: dict[str, Any] = {}
    if not chosen.equal:
        found[f"{section}pass_overhead_tokens"] = pass_overhead(bench)
        print(f"a pass costs {found[f'{section}pass_overhead_tokens']:.1f} tokens before its first")
    for rows in map(int, "0" if chosen.equal else chosen.batches.split(",")):
        for kind in chosen.formats.split(","):
            values = cell(bench, kind, rows, chosen.turns, rows == 1) if rows else equality(bench, kind)
            for name, value in values.items():
                key = f"{section}{kind}/b{rows}/{name}" if rows else f"{section}{kind}/{name}"
                found[key] = value
                print(f"{key:<58}{value:>10.3g}{'' if chosen.small else judged(key, value)}", flush=True)
            if rows:
                found[f"{section}{kind}/b{rows}/commit"] = commit()
            keep(found | about(section), chosen.small)  # as it goes: a call may take long


def keep(found: dict[str, Any], small: bool) -> None:
    """Add figures to the file of results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("decoding_small.json" if small else "decoding.json")
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(dict(sorted((before | found).items())), indent=1) + "\n")


def judged(key: str, value: float) -> str:
    """What was wanted of a figure, and whether it holds; nothing where nothing was."""
    sign, bound = WANTED.get(key.removeprefix("trained/"), ("", 0.0))
    return f"   {sign} {bound:g}: {value >= bound if sign == '>=' else value <= bound}" if sign else ""


def about(section: str) -> dict[str, Any]:
    """Machine, versions and commit, for the figures of one call."""
    return {
        f"{section}machine": f"{platform.platform()}, {processor()}",
        f"{section}torch": torch.__version__,
        f"{section}commit": commit(),
        f"{section}peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
