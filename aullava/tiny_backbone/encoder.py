"""The tiny vision encoder: a CLIP-type ViT, taught by masked-image modelling on drawn faces of other people.

Masked autoencoding (He et al. 2022, arXiv 2111.06377): the encoder sees a random part of the patches, a small
decoder predicts the pixels of the others, patch by patch normalised. No Action Unit label and no landmark is
read anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from aullava.tiny_backbone.learning import Schedule, learn

# CLIP's own (preprocessor_config.json of openai/clip-vit-large-patch14-336).
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """Sizes and schedule of the tiny encoder; ours, chosen to learn in an hour and a half on one CPU core."""

    image_size: int = 96
    patch_size: int = 12
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    masked: float = 0.7
    floor: float = 0.1  # variance added to flat patches, so that their noise is not worth learning
    decoder_hidden: int = 96
    decoder_layers: int = 1
    batch_size: int = 64
    cycles: tuple[tuple[int, float], ...] = ((9000, 1.2e-3), (12000, 1e-3))  # steps and peak rate of each
    warmup: int = 300
    weight_decay: float = 0.05


class MaskedAutoencoder(nn.Module):
    """A CLIP vision model plus the throw-away decoder that teaches it."""

    def __init__(self, recipe: EncoderRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = CLIPVisionModel(
            CLIPVisionConfig(
                image_size=recipe.image_size,
                patch_size=recipe.patch_size,
                hidden_size=recipe.hidden,
                intermediate_size=4 * recipe.hidden,
                num_hidden_layers=recipe.layers,
                num_attention_heads=recipe.heads,
                projection_dim=recipe.hidden,
                hidden_act="gelu",
            )
        )
        self.patches = (recipe.image_size // recipe.patch_size) ** 2
        width = recipe.decoder_hidden
        self.to_decoder = nn.Sequential(nn.LayerNorm(recipe.hidden), nn.Linear(recipe.hidden, width))
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(0.02 * torch.randn(self.patches, width))
        layer = nn.TransformerEncoderLayer(
            width, recipe.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerEncoder(layer, recipe.decoder_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.to_pixels = nn.Linear(width, 3 * recipe.patch_size**2)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Mean squared error of the predicted pixels on the hidden patches; ``pixel_values`` [B, 3, S, S]."""
        batch = len(pixel_values)
        shown_count = self.patches - int(self.patches * self.recipe.masked)
        order = torch.rand(batch, self.patches).argsort(1)
        shown, hidden = order[:, :shown_count], order[:, shown_count:]

        tokens = self.encoder.embeddings(pixel_values)
        width = tokens.shape[-1]
        kept = tokens[:, 1:].gather(1, shown[..., None].expand(-1, -1, width))
        states = self.encoder.pre_layrnorm(torch.cat([tokens[:, :1], kept], 1))
        states = self.to_decoder(self.encoder.encoder(inputs_embeds=states).last_hidden_state[:, 1:])
        width = states.shape[-1]

        canvas = self.mask_token.to(states.dtype).expand(batch, self.patches, -1)
        canvas = canvas.scatter(1, shown[..., None].expand(-1, -1, width), states) + self.positions
        decoded = self.norm(self.decoder(canvas))
        decoded = decoded.gather(1, hidden[..., None].expand(-1, -1, width))
        target = self._normalised_patches(pixel_values).gather(
            1, hidden[..., None].expand(-1, -1, 3 * self.recipe.patch_size**2)
        )
        return nn.functional.mse_loss(self.to_pixels(decoded).float(), target)

    def _normalised_patches(self, pixel_values: Tensor) -> Tensor:
        """Patches of mean 0 and variance 1 each [B, P, 3 * patch**2] (MAE, section 3: normalised pixels)."""
        side = self.recipe.patch_size
        patches = pixel_values.unfold(2, side, side).unfold(3, side, side)
        flat = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return (flat - flat.mean(-1, keepdim=True)) / (flat.var(-1, keepdim=True) + self.recipe.floor).sqrt()


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


def _batches(faces: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Augmented batches without end; of all faces if there are fewer than a batch."""
    rng, batch_size = np.random.default_rng(seed), min(batch_size, len(faces))
    while True:
        order = rng.permutation(len(faces))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield _augmented(faces[np.sort(order[start : start + batch_size])], rng)


def train_encoder(faces: np.ndarray, recipe: EncoderRecipe, seed: int = 0) -> MaskedAutoencoder:
    """Learn the encoder from pictures alone.

    Args:
        faces: uint8 RGB pictures [N, S, S, 3] (may be a memory map).
        recipe: Sizes and schedule.
        seed: Seed of weights, masks and order.

    Returns:
        The autoencoder; ``.encoder`` is the CLIP vision model to keep.
    """
    torch.manual_seed(seed)
    model = MaskedAutoencoder(recipe)
    losses = _losses(model, _batches(faces, recipe.batch_size, seed))
    for number, (steps, peak) in enumerate(recipe.cycles, 1):
        # A fresh optimiser for each cycle (warm restarts: arXiv 1608.03983).
        schedule = Schedule(steps, peak, recipe.warmup, floor=0.0, weight_decay=recipe.weight_decay)
        learn(f"encoder cycle {number}", model, losses, schedule)
    return model


def _losses(model: MaskedAutoencoder, batches: Iterator[np.ndarray]) -> Iterator[tuple[Tensor, float]]:
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(to_pixel_values(batch))
        yield loss, loss.item()
