"""Keys and values that were read: with room for more, cut back by moving their end, rows picked out."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # its __init_subclass__
    """One layer's keys and values in a buffer that is allocated once.

    transformers' own layers either copy everything at every pass (dynamic) or attend to the whole buffer,
    written or not, and cannot be cut back (static).

    Args:
        room: how many tokens will be read at most, those of `begin` included.
        begin: keys and values [1, H, P, D] that every row starts with; None: nothing.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, room: int, begin: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self.begin = begin
        self.length = 0 if begin is None else begin[0].shape[-2]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the buffers for the batch that arrives, with the common beginning in every row."""
        self.dtype, self.device = key_states.dtype, key_states.device
        buffers = []
        for number, states in enumerate((key_states, value_states)):
            rows, heads, _, width = states.shape
            buffer = states.new_empty(rows, heads, self.room, width)
            if self.begin is not None:
                buffer[:, :, : self.length] = self.begin[number]
            buffers.append(buffer)
        self.keys, self.values = buffers
        self.begin = None
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add tokens; gives all keys and values up to the last of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        """Tokens read."""
        return self.length

    def picked(self, rows: Tensor, length: int, room: int | None = None) -> RoomyLayer:
        """A copy of the first `length` tokens of some rows, with the same room or another."""
        found = RoomyLayer(self.room if room is None else room)
        found.length = length
        found.dtype, found.device, found.is_initialized = self.dtype, self.device, True
        for name in ("keys", "values"):
            old: Tensor = getattr(self, name)
            new = old.new_empty(len(rows), old.shape[1], found.room, old.shape[3])
            new[:, :, :length] = old[rows, :, :length]
            setattr(found, name, new)
        return found


class KeyValues(Cache):
    """Keys and values of all layers.

    Args:
        layers: one for each layer of the language model.
    """

    layers: list[RoomyLayer]  # type: ignore[assignment]  # no other kind is ever put in

    @classmethod
    def empty(cls, layers: int, room: int) -> Self:
        """Nothing read yet, with room for so many tokens."""
        return cls([RoomyLayer(room) for _ in range(layers)])

    def after(self, room: int) -> KeyValues:
        """A new one in which every row of any batch begins with what this one (of one row) has read.

        Args:
            room: how many tokens will follow at most.
        """
        return KeyValues(
            [
                RoomyLayer(one.length + room, (one.keys[:, :, : one.length], one.values[:, :, : one.length]))
                for one in self.layers
            ]
        )

    def picked(self, rows: Tensor, length: int) -> KeyValues:
        """A copy of some rows, cut back to `length` tokens."""
        return KeyValues([layer.picked(rows, length) for layer in self.layers])

    def roomy(self, room: int) -> KeyValues:
        """Itself if it has so much room, or a copy that has."""
        if self.layers[0].room >= room:
            return self
        rows = torch.arange(len(self.layers[0].keys), device=self.layers[0].device)
        return KeyValues([layer.picked(rows, layer.length, room) for layer in self.layers])

    def cut_back(self, length: int) -> None:
        """Forget what was read after the first `length` tokens."""
        for layer in self.layers:
            layer.length = min(layer.length, length)

    @property
    def length(self) -> int:
        """Tokens read."""
        return self.layers[0].length
