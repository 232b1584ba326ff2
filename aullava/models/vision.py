"""The vision encoder, frozen but for an adapter on it, and the pixels as its own checkpoint wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel

from aullava.models.errors import ModelError
from aullava.models.folders import LOADING_ERRORS, load_weights, model_folder
from aullava.models.vision_kinds import GRIDS, hidden_states, patches, prefix_tokens, vision_config

TOKENS: Final = ("patches", "all")
"""Which of the encoder's tokens become image tokens: `all` keeps class and register tokens too."""

_WEIGHTS: Final = (("config.json",), ("*.safetensors",))
_PROCESSOR: Final = (("preprocessor_config.json", "processor_config.json"),)


class VisionEncoder(nn.Module):
    """A frozen encoder that ends at the highest chosen layer: in eval mode, and no gradient but an adapter's.

    Args:
        model: a vision model of transformers without the layers above those that are read.
        num_tokens: tokens per image that are given out.
        prefix_tokens: tokens at the beginning that are dropped.
        layers: the hidden states that are read, counted from 1, side by side in a token.
        dim: width of the tokens; None: that of the encoder for each layer.

    Attributes:
        num_tokens: N, the image tokens per image.
        dim: D, their width: that of the encoder for each layer that is read.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        num_tokens: int,
        prefix_tokens: int,
        layers: tuple[int, ...],
        dim: int | None = None,
    ) -> None:
        super().__init__()
        self.model: PreTrainedModel | PeftModel = model.requires_grad_(False)
        self.num_tokens = num_tokens
        self.prefix_tokens = prefix_tokens
        self.layers = layers
        self.dim: int = dim or model.config.hidden_size * len(layers)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever `mode` says: what is frozen has no dropout and no moving statistics.

        Only the dropout of an adapter follows `mode`.
        """
        super().train(False)
        if self.adapted:
            for name, module in self.model.named_modules():
                if "lora_dropout" in name:
                    module.train(mode)
        return self

    @property
    def adapted(self) -> bool:
        """Whether an adapter stands on the encoder, which is then trained."""
        return isinstance(self.model, PeftModel)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The encoder as it was loaded, without its adapter."""
        if not isinstance(self.model, PeftModel):
            yield
            return
        with self.model.disable_adapter():
            yield

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Patch features of the chosen layers, before any final norm.

        Args:
            pixel_values: float [B, 3, S, S], from `ImagePreprocessor`.

        Returns:
            [B, N, D] in the encoder's dtype: those `hidden_states` of the full encoder, joined along the last
            axis in the order of `layers`, without the prefix tokens.
        """
        # Indices keep those hidden states only; the last layer's is its output before the final norm.
        with torch.set_grad_enabled(self.adapted and torch.is_grad_enabled()):
            output = self.model(pixel_values.to(self.model.dtype), output_hidden_states=list(self.layers))
        states = [output.hidden_states[layer][:, self.prefix_tokens :] for layer in self.layers]
        return states[0] if len(states) == 1 else torch.cat(states, dim=-1)


class GridEncoder(VisionEncoder):
    """A frozen convolutional encoder: the places of one of its feature maps are the tokens, row by row.

    A map in the middle is meant: what shows an Action Unit is small, and pooled away at the end.

    Args:
        model: gives one hidden state [B, D, H, W] per block.
        layers: one block: 1 is the first one's map, -1 the last one's.
        size: side of the images in pixels.

    Raises:
        ModelError: there is no such block, or several are named: their maps have other sizes.
    """

    def __init__(self, model: PreTrainedModel, layers: int | Sequence[int], size: int) -> None:
        with torch.no_grad():
            model.train(False)
            maps = self._maps(model, torch.zeros(1, 3, size, size, dtype=model.dtype))
        wanted = (layers,) if isinstance(layers, int) else tuple(layers)
        if len(wanted) != 1 or wanted[0] == 0 or not -len(maps) <= wanted[0] <= len(maps):
            raise ModelError(
                f"vision.layers is {list(wanted)}, but of this encoder with {len(maps)} blocks one is read: "
                f"give one of 1 to {len(maps)}, or of -1 (the last) to -{len(maps)} (the first)"
            )
        place = wanted[0] - 1 if wanted[0] > 0 else wanted[0]
        _, width, rows, columns = maps[place].shape
        super().__init__(model, rows * columns, 0, wanted, width)
        self._place = place

    @staticmethod
    def _maps(model: PreTrainedModel | PeftModel, pixel_values: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = model(pixel_values, output_hidden_states=True).hidden_states
        return maps

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> Tensor:
        """Features [B, N, D] of the chosen map's places, for pixel values [B, 3, S, S]."""
        maps = self._maps(self.model, pixel_values.to(self.model.dtype))
        return maps[self._place].flatten(2).transpose(1, 2)


def load_vision(
    name: str,
    layers: int | Sequence[int] = -1,
    dtype: torch.dtype = torch.float32,
    tokens: str = "patches",
) -> VisionEncoder:
    """Load a frozen vision encoder up to its highest layer that is read; the layers above are never built.

    Args:
        name: "tiny", a local folder or a hub id; with config.json, *.safetensors and the image processor.
        layers: indices into the full encoder's hidden states: -1 the last layer's output, -2 the one below,
            ...; of several, a token holds all.
        dtype: of the weights.
        tokens: one of `TOKENS`.

    Raises:
        MissingModelError: no such folder, or files missing in it.
        ModelError: pickled weights, a model type we cannot read, no such layer, or an image processor that
            makes images which the encoder cannot take.
    """
    folder = model_folder(name, "vision", _WEIGHTS)
    config = vision_config(folder)
    if config.model_type in GRIDS:
        model = load_weights(AutoModel, folder, config=config, dtype=dtype, add_pooling_layer=False)
        return GridEncoder(model, layers, load_preprocessor(name).size)
    read = hidden_states(layers, config)
    config.num_hidden_layers = max(read)
    size = load_preprocessor(name).size
    return as_encoder(load_weights(AutoModel, folder, config=config, dtype=dtype), size, tokens, read)


def as_encoder(model: PreTrainedModel, size: int, tokens: str, layers: tuple[int, ...]) -> VisionEncoder:
    """A vision model, cut above the last layer that is read, as our encoder.

    Args:
        model: of a type of `vision_kinds.ENCODERS`.
        size: side of the images in pixels.
        tokens: one of `TOKENS`.
        layers: the hidden states that are read, counted from 1.

    Raises:
        ModelError: the encoder cannot take images of this size, or `tokens` is another word.
    """
    if tokens not in TOKENS:
        raise ModelError(f"unknown vision.tokens '{tokens}': write {' or '.join(TOKENS)}")
    first = prefix_tokens(model.config)
    dropped = first if tokens == "patches" else 0
    return VisionEncoder(model, patches(model.config, size) + first - dropped, dropped, layers)


class ImagePreprocessor:
    """Faces to pixel values by the checkpoint's own processor: size, crop, scale, mean and deviation.

    Images that already have the final size take a shorter way through torch to the same values (1e-6).

    Attributes:
        size: S, the side of the square that the encoder sees.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.size = _side(processor)
        scale = processor.rescale_factor if processor.do_rescale else 1.0
        mean = torch.tensor(processor.image_mean if processor.do_normalize else (0.0, 0.0, 0.0))
        std = torch.tensor(processor.image_std if processor.do_normalize else (1.0, 1.0, 1.0))
        # (x * scale - mean) / std as one multiplication and one addition.
        self._factor = (scale / std).view(3, 1, 1)
        self._offset = (-mean / std).view(3, 1, 1)
        # Resizing the short side to something other than S before the crop changes even an S x S image.
        resized = processor.size.height or processor.size.shortest_edge
        self._keeps_finished_images = not processor.do_resize or resized == self.size

    def __call__(self, images: Sequence[np.ndarray[Any, Any]]) -> Tensor:
        """Prepare a batch.

        Args:
            images: RGB uint8 arrays [H, W, 3] of any size.

        Returns:
            float32 [B, 3, S, S].
        """
        finished = (self.size, self.size, 3)
        if self._keeps_finished_images and all(image.shape == finished for image in images):
            pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            return pixels.contiguous().float().mul_(self._factor).add_(self._offset)
        # Said explicitly: a very flat image could be taken for one with its channels first.
        batch = self.processor(images=list(images), return_tensors="pt", input_data_format="channels_last")
        pixel_values: Tensor = batch["pixel_values"]
        return pixel_values


def _side(processor: Any) -> int:
    """Side of the square that a processor makes of a square image."""
    area = processor.crop_size if processor.do_center_crop else processor.size
    height, width = area.height or area.shortest_edge, area.width or area.shortest_edge
    if not height or height != width:
        raise ModelError(
            f"the image processor makes images of {height} x {width} pixels: "
            "take a checkpoint whose processor makes squares of one size"
        )
    return int(height)


def load_preprocessor(name: str) -> ImagePreprocessor:
    """The image preprocessor of a vision encoder.

    Args:
        name: as for `load_vision`; the folder must hold preprocessor_config.json or processor_config.json.

    Raises:
        MissingModelError: no such folder or file.
        ModelError: transformers cannot read it.
    """
    folder = model_folder(name, "vision", _PROCESSOR)
    auto: Any = AutoImageProcessor  # its from_pretrained carries no types
    try:
        # PIL: the torchvision of the package registry is a CUDA build, which breaks imports on a CPU torch.
        processor = auto.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except LOADING_ERRORS as error:
        raise ModelError(f"the image processor in {folder} cannot be read: {error}") from error
    return ImagePreprocessor(processor)
