"""The tiny vision encoder: a CLIP-type ViT, taught by masked-image modelling on drawn faces of other people.

No Action Unit label and no landmark is read anywhere: a picture is its own teacher (`masked`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, CLIPVisionConfig, CLIPVisionModel

from aullava.tiny_backbone.learning import Schedule, learn
from aullava.tiny_backbone.masked import MaskedAutoencoder
from aullava.training.processes import Processes

# CLIP's own (preprocessor_config.json of openai/clip-vit-large-patch14-336).
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Lessons:
    """One cycle, with a fresh decoder and a fresh optimiser (warm restarts: arXiv 1608.03983); ours.

    Attributes:
        steps: of `EncoderRecipe.batch_size` pictures.
        peak: highest learning rate.
        masked: share of the patches that are left out.
        blanked: share of the blocks inside the others that are blanked, at most.
        edges: whether the strengths of edges are predicted beside pixels.
    """

    steps: int
    peak: float
    masked: float = 0.7
    blanked: float = 0.0
    edges: bool = False


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """Sizes and schedule of the tiny encoder; ours; reckoned at three hours on two CPU cores."""

    image_size: int = 96
    patch_size: int = 12
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    decoder_hidden: int = 96
    decoder_layers: int = 1
    batch_size: int = 64
    cycles: tuple[Lessons, ...] = (
        Lessons(9000, 1.2e-3),
        Lessons(12000, 1e-3),
        Lessons(28000, 1e-3, masked=0.5, blanked=0.75),
        Lessons(8000, 1e-3, masked=0.5, blanked=0.5, edges=True),
        Lessons(7000, 1e-3, masked=0.25, blanked=0.25, edges=True),
        Lessons(8500, 1e-3, masked=0.25, blanked=0.25, edges=True),
    )
    warmup: int = 300
    weight_decay: float = 0.05


def build_encoder(recipe: EncoderRecipe) -> CLIPVisionModel:
    """A CLIP vision model with random weights."""
    config = CLIPVisionConfig(
        image_size=recipe.image_size,
        patch_size=recipe.patch_size,
        hidden_size=recipe.hidden,
        intermediate_size=4 * recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        projection_dim=recipe.hidden,
        hidden_act="gelu",
    )
    # The other kernel is slow to learn with on a CPU, see `masked.Block`.
    build: Any = AutoModel.from_config  # transformers does not annotate it
    encoder = build(config, attn_implementation="eager")
    assert isinstance(encoder, CLIPVisionModel)
    return encoder


def _read_encoder(folder: Path) -> CLIPVisionModel:
    read: Any = CLIPVisionModel.from_pretrained
    encoder = read(folder, attn_implementation="eager", dtype=torch.float32, local_files_only=True).train()
    assert isinstance(encoder, CLIPVisionModel)
    return encoder


def to_pixel_values(images: np.ndarray) -> Tensor:
    """uint8 RGB [B, S, S, 3] to the encoder's normalised input, float32 [B, 3, S, S]."""
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return (scaled - mean) / std


def _augmented(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror half of the pictures and shift each by up to four pixels (edges repeated)."""
    flipped = np.where(rng.uniform(size=(len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
    padded = np.pad(flipped, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="edge")
    size = images.shape[1]
    offsets = rng.integers(0, 9, (len(images), 2))
    return np.stack([face[y : y + size, x : x + size] for face, (y, x) in zip(padded, offsets, strict=True)])


def _batches(faces: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Augmented batches without end; of all faces if there are fewer than a batch."""
    batch_size = min(batch_size, len(faces))
    while True:
        order = rng.permutation(len(faces))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield _augmented(faces[np.sort(order[start : start + batch_size])], rng)


def train_encoder(
    faces: np.ndarray,
    recipe: EncoderRecipe,
    seed: int = 0,
    processes: Processes | None = None,
    start: Path | None = None,
) -> CLIPVisionModel:
    """Learn the encoder from pictures alone.

    Args:
        faces: uint8 RGB pictures [N, S, S, 3] (may be a memory map).
        recipe: Sizes and schedule.
        seed: Seed of weights, masks and order.
        processes: that learn together and share a step, each from faces of its own; None: this one alone.
        start: folder of an encoder to go on with, from `write.write_encoder`; None: random weights.
    """
    mine = processes or Processes()
    torch.manual_seed(seed)
    encoder = build_encoder(recipe) if start is None else _read_encoder(start)
    batch = max(1, recipe.batch_size // mine.size)
    for number, lessons in enumerate(recipe.cycles, 1):
        width, layers = recipe.decoder_hidden, recipe.decoder_layers
        model = MaskedAutoencoder(encoder, width, layers, lessons.masked, lessons.blanked, lessons.edges)
        schedule = Schedule(lessons.steps, lessons.peak, recipe.warmup, 0.0, recipe.weight_decay)
        # The weights are the same in all processes, masks and pictures are each one's own.
        keys = [seed, number, mine.rank]
        torch.manual_seed(int(np.random.SeedSequence(keys).generate_state(1)[0]))
        losses = _losses(model, _batches(faces, batch, np.random.default_rng(keys)))
        learn(f"encoder cycle {number}", model, losses, schedule)
        torch.manual_seed(seed + number)
    return encoder


def _losses(model: MaskedAutoencoder, batches: Iterator[np.ndarray]) -> Iterator[tuple[Tensor, float]]:
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(to_pixel_values(batch))
        yield loss, loss.item()
