"""How DISFA and DISFA+ are asked about: 12 Action Units as levels, or the field's 8 as present or absent."""

from __future__ import annotations

from typing import Final

from datamodules.action_units import DISFA_AUS, Scale
from datamodules.dataset_options.core import DISFAPlusOptions
from datamodules.frame_tables import FrameTable
from datamodules.sequence_dataset import SequenceDataset
from datamodules.sequences import at_least

DETECTION_AUS: Final = ("AU1", "AU2", "AU4", "AU6", "AU9", "AU12", "AU25", "AU26")
"""The 8 of JAA-Net, ME-GraphAU, MDHR, FG-Net, FMAE-IAT and LibreFace."""


class DISFACoding(SequenceDataset):
    """A dataset that is coded as DISFA is."""

    aus = DISFA_AUS
    options: DISFAPlusOptions

    def coded_aus(self) -> tuple[str, ...]:
        """12, or the 8 of the detection protocol."""
        return self.aus if self.options.coding == "intensity" else DETECTION_AUS

    def coded_scale(self) -> Scale:
        """As `options.coding` says."""
        return Scale.LEVEL if self.options.coding == "intensity" else Scale.PRESENCE

    def present_from(self, code: str) -> float | None:
        """`options.threshold`; None where it was applied already."""
        del code
        return float(self.options.threshold) if self.options.coding == "intensity" else None

    def coded(self, levels: FrameTable) -> FrameTable:
        """Levels on the scale that is asked for."""
        if self.options.coding == "intensity":
            return levels
        return at_least(levels, self.options.threshold)
