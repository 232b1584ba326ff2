"""The masked autoencoder that teaches the tiny vision encoder, and is thrown away afterwards."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel

from aullava.tiny_backbone.edges import CHANNELS, edge_strengths

BLOCK: Final = 4
"""Side in pixels of what is blanked inside a patch: finer than the patch, coarser than the noise; ours."""
FLOOR: Final = 0.1
"""Variance added to that of a patch, so that the noise of flat ones is not worth learning; ours."""


class MaskedAutoencoder(nn.Module):
    """A CLIP vision model plus the decoder that asks it what is hidden (He et al. 2022, arXiv 2111.06377).

    Two kinds of things are hidden. Whole patches are left out, and a small decoder predicts them from the
    others. And of the patches that are shown, small blocks may be blanked, which a linear layer reads off the
    patch's own state: what a patch shows in fine lines, of no use to its neighbours, has to be kept as well.
    With `edges` both also say how strong the edges of each block are (module `edges`), the linear layer those
    of every block of its patch: what lines add up to is no linear function of pixels, and it is a linear
    projector that will read the states.

    Args:
        encoder: learns.
        width: of the decoder.
        layers: of the decoder.
        masked: share of the patches that are left out.
        blanked: share of the blocks blanked in a picture, at most; each picture has a share of its own.
        edges: whether edges are predicted too.
    """

    def __init__(
        self,
        encoder: CLIPVisionModel,
        width: int,
        layers: int,
        masked: float,
        blanked: float,
        edges: bool = False,
    ) -> None:
        super().__init__()
        config = encoder.config
        size, side, hidden = config.image_size, config.patch_size, config.hidden_size
        assert isinstance(size, int)
        assert isinstance(side, int)
        self.encoder = encoder
        self.side = side
        self.patches = (size // side) ** 2
        self.shown = self.patches - int(self.patches * masked)
        self.blanked = blanked
        self.to_decoder = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, width))
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(0.02 * torch.randn(self.patches, width))
        heads = config.num_attention_heads
        self.decoder = nn.Sequential(*(Block(width, heads) for _ in range(layers)), nn.LayerNorm(width))
        pixels, strengths = 3 * self.side**2, CHANNELS * (self.side // BLOCK) ** 2
        self.to_pixels = nn.Linear(width, pixels)
        self.blank: nn.Parameter | None = None
        if blanked:
            self.blank = nn.Parameter(torch.zeros(3))
            self.own_pixels = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, pixels))
        self.edges = edges
        if edges:
            self.to_edges = nn.Linear(width, strengths)
            self.own_edges = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, strengths))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Mean squared error of patches left out, plus that of blocks blanked, plus those of the edges.

        Args:
            pixel_values: float [B, 3, S, S], normalised.
        """
        order = torch.rand(len(pixel_values), self.patches).argsort(1)
        shown, left_out = order[:, : self.shown], order[:, self.shown :]
        target, seen = self._normalised_patches(pixel_values), pixel_values
        if self.blank is not None:
            hidden = self._blocks(pixel_values)
            seen = torch.where(hidden, self.blank.view(1, 3, 1, 1), pixel_values)
        states = self._encode(seen, shown)
        decoded = self._decoded(states, shown, left_out)
        loss = nn.functional.mse_loss(self.to_pixels(decoded).float(), _rows(target, left_out))
        if self.blank is not None:
            counted = _rows(_patches(hidden.expand(-1, 3, -1, -1), self.side).float(), shown)
            missed = (self.own_pixels(states).float() - _rows(target, shown)).square()
            loss = loss + (missed * counted).sum() / counted.sum().clamp(min=1)
        if self.edges:
            strengths = _patches(edge_strengths(pixel_values, BLOCK), self.side // BLOCK)
            for found, places in ((self.to_edges(decoded), left_out), (self.own_edges(states), shown)):
                loss = loss + nn.functional.mse_loss(found.float(), _rows(strengths, places))
        return loss

    def _encode(self, pixel_values: Tensor, shown: Tensor) -> Tensor:
        """States [B, n, D] of the patches `shown` [B, n], which see each other only."""
        tokens = self.encoder.embeddings(pixel_values)
        read = torch.cat([tokens[:, :1], _rows(tokens[:, 1:], shown)], 1)
        found: Tensor = self.encoder.encoder(inputs_embeds=self.encoder.pre_layrnorm(read)).last_hidden_state
        return found[:, 1:]

    def _decoded(self, states: Tensor, shown: Tensor, left_out: Tensor) -> Tensor:
        """The decoder's states [B, m, width] of the patches `left_out` [B, m]."""
        states = self.to_decoder(states)
        width = states.shape[-1]
        canvas = self.mask_token.to(states.dtype).expand(len(states), self.patches, -1)
        canvas = canvas.scatter(1, shown[..., None].expand(-1, -1, width), states) + self.positions
        return _rows(self.decoder(canvas), left_out)

    def _blocks(self, pixel_values: Tensor) -> Tensor:
        """Where a picture is blanked, bool [B, 1, S, S]; not at all in some, up to `blanked` in others."""
        batch, size = len(pixel_values), pixel_values.shape[-1]
        share = self.blanked * torch.rand(batch, 1, 1, 1)
        chosen = torch.rand(batch, 1, size // BLOCK, size // BLOCK) < share
        return chosen.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)

    def _normalised_patches(self, pixel_values: Tensor) -> Tensor:
        """Patches of mean 0 and variance 1 each (section 3 of the paper: normalised pixels)."""
        flat = _patches(pixel_values, self.side)
        return (flat - flat.mean(-1, keepdim=True)) / (flat.var(-1, keepdim=True) + FLOOR).sqrt()


class Block(nn.Module):
    """A transformer block whose attention is two matrix products.

    PyTorch's fused attention takes far longer in its backward pass, in bf16 on a CPU at such lengths: it was
    half of a whole step.

    Args:
        width: of the states.
        heads: of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, states: Tensor) -> Tensor:
        """States [B, T, D] moved on."""
        batch, length, width = states.shape
        read = self.read(self.before(states)).view(batch, length, 3, self.heads, -1)
        query, key, value = read.permute(2, 0, 3, 1, 4)
        sight = (query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5).softmax(-1).to(value.dtype)
        states = states + self.write((sight @ value).transpose(1, 2).flatten(2))
        moved: Tensor = states + self.feed_forward(self.after(states))
        return moved


def _patches(picture: Tensor, side: int) -> Tensor:
    """[B, C, S, S] cut into patches [B, P, C * side**2]."""
    cut = picture.unfold(2, side, side).unfold(3, side, side)
    return cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def _rows(states: Tensor, places: Tensor) -> Tensor:
    """Of states [B, P, D] those at `places` [B, n]."""
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))
