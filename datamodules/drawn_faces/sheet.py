"""The contact sheet: every drawn action at 0, 50 and 100 % on one person, as a picture to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from datamodules.drawn_faces.actions import PAIRED, SINGLE, Actions
from datamodules.drawn_faces.person import draw_person
from datamodules.drawn_faces.scene import Scene, render
from datamodules.images import write_png

_AMOUNTS = (0.0, 0.5, 1.0)
_COLUMNS = 5
_LABEL = 22  # height of a caption in pixels

STUDIO = Scene(
    roll=0.0, turn=0.0, shift=(0.0, -0.05), zoom=1.0, light=(0.06, -0.02, 1.0), warmth=0.0,
    background=np.full((4, 4, 3), 150, np.float32), blur=0.0, noise=0.0, noise_seed=0,
)  # fmt: skip


def _shown(code: str, amount: float) -> Actions:
    """The action alone (both sides of a paired one); the lips part where it needs a view into the mouth."""
    amounts = {code + side: amount for side in "LR"} if code in PAIRED else {code: amount}
    if code == "AU26":
        amounts["AU25"] = 0.6 * amount
    return Actions(amounts)


def _strip(code: str, person: int, size: int) -> np.ndarray:
    traits = draw_person(0, person)
    faces = [render(traits, _shown(code, amount), STUDIO, size) for amount in _AMOUNTS]
    caption = np.full((_LABEL, len(faces) * size, 3), 255, np.uint8)
    text = f"{code}   0 / 50 / 100 %"
    cv2.putText(caption, text, (4, _LABEL - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    return np.pad(np.vstack([caption, np.hstack(faces)]), ((3, 3), (5, 5), (0, 0)), constant_values=255)


def contact_sheet(size: int = 128, person: int = 5) -> np.ndarray:
    """Draw the sheet.

    Args:
        size: Side of one face in pixels.
        person: Number of the person of population 0 that is shown.

    Returns:
        RGB uint8 picture with a captioned strip of three faces per action.
    """
    strips = [_strip(code, person, size) for code in (*PAIRED, *SINGLE)]
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % _COLUMNS)
    rows = [np.hstack(strips[start : start + _COLUMNS]) for start in range(0, len(strips), _COLUMNS)]
    return np.vstack(rows)


def write_sheet(path: Path) -> None:
    """Write the contact sheet as a PNG (to a temporary name first: no half picture is left behind).

    Raises:
        OSError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, contact_sheet())
