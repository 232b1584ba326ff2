"""Which questions a run can be asked, how the face of each is cut out, and how its probabilities are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aullava.build import build_data
from aullava.config.schema import Config
from aullava.evaluation.calibration import UnitCalibration, calibrated, read_calibration
from aullava.inference.errors import PredictionError
from aullava.inference.pictures import Image
from aullava.text.answer import Answer
from datamodules.action_units import Scale
from datamodules.faces import FaceCrop, FaceFinder, FaceSettings


class Cutter:
    """Cuts the face out as it was cut for training.

    Args:
        settings: how; None: the whole picture is the face.
        quality: of the JPEGs of a prepared store, whose loss belongs to what the model has seen; None: none.
    """

    def __init__(self, settings: FaceSettings | None, quality: int | None) -> None:
        self.key = (settings, quality)
        self.quality = quality
        self._finder = None if settings is None else FaceFinder(settings)

    def cut(self, image: Image, is_cut: bool) -> FaceCrop | None:
        """The face of a picture RGB uint8 [H, W, 3]; None if there is none.

        Args:
            image: the picture.
            is_cut: whether it is a crop already.
        """
        if self._finder is None or is_cut:
            height, width = image.shape[:2]
            box = (0.0, 0.0, float(width), float(height))
            return FaceCrop(image, box, np.full((5, 2), np.nan, np.float32), 1.0)
        crop = self._finder.crop(image)
        if crop is None or self.quality is None:
            return crop
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR), quality)
        assert done
        kept = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
        return replace(crop, image=kept)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question that is asked about every face.

    Attributes:
        dataset: whose question it is.
        scale: the format of the answer.
        aus: all codes that are asked, as in training.
        cutter: how the face is cut out.
        calibration: of presence, by code; what is not there is read as it is.
    """

    dataset: str
    scale: Scale
    aus: tuple[str, ...]
    cutter: Cutter
    calibration: Mapping[str, UnitCalibration] = field(default_factory=dict)

    def presence(self, answer: Answer) -> dict[str, tuple[float, int]]:
        """Probability and decision (0 or 1) of every Action Unit of an answer about presence."""
        found = {}
        for code, raw in zip(answer.aus, answer.slot_probs.astype(np.float64), strict=True):
            unit = self.calibration.get(code)
            probability = float(raw if unit is None else calibrated(raw, unit.temperature))
            found[code] = probability, int(probability >= (0.5 if unit is None else unit.threshold))
        return found


def run_questions(
    run: Path,
    config: Config,
    formats: Sequence[str] | None,
    aus: Sequence[str] | None,
    detector: str | None = None,
) -> list[Question]:
    """The questions of a run, those that are wanted.

    Args:
        run: its folder.
        config: of it.
        formats: words of formats; None: all that it was trained on.
        aus: codes; questions without any of them are left out. None: all.
        detector: cuts faces out also where training showed whole pictures; None: as in training.

    Raises:
        PredictionError: a format or an Action Unit that the run was not trained on.
        ResultError: the run's calibration is damaged.
    """
    members = build_data(config).members
    known = sorted({member.coded_scale().value for member in members})
    for word in formats or ():
        if word not in known:
            raise PredictionError(
                f"the run was not trained on the format '{word}': ask for {', '.join(known)}"
            )
    chosen = [one for one in members if formats is None or one.coded_scale().value in formats]
    learnt = {code for member in chosen for code in member.asked_aus}
    for code in aus or ():
        if code not in learnt:
            raise PredictionError(
                f"the run never learnt {code} in these formats: ask for {', '.join(sorted(learnt))}"
            )
    crops, calibration = recorded_crops(run), read_calibration(run)
    cutters: dict[Any, Cutter] = {}
    found: dict[tuple[Scale, tuple[str, ...]], Question] = {}
    for member in chosen:
        if aus is not None and not set(aus) & set(member.asked_aus):
            continue
        cutter = _cutter(crops.get(member.name) or crops.get(member.name.partition(".")[0]) or {}, detector)
        cutter = cutters.setdefault(cutter.key, cutter)
        key = (member.coded_scale(), member.asked_aus)
        found.setdefault(key, Question(member.name, *key, cutter, calibration.get(member.name, {})))
    return list(found.values())


def _cutter(record: Mapping[str, Any], detector: str | None) -> Cutter:
    faces = record.get("faces")
    if faces is not None:
        return Cutter(FaceSettings(**faces), record.get("quality"))
    return Cutter(None if detector is None else FaceSettings(detector=detector), None)


def recorded_crops(run: Path) -> Mapping[str, Any]:
    """How the faces of each dataset were cut out, as the run recorded it.

    Raises:
        PredictionError: it did not, or its record is damaged.
    """
    try:
        found = json.loads((run / "fingerprint.json").read_text(encoding="utf-8"))["crops"]
    except (OSError, ValueError, KeyError, TypeError):
        raise PredictionError(
            f"{run / 'fingerprint.json'} does not say how the faces of this run were cut out: restore it"
        ) from None
    crops: Mapping[str, Any] = found
    return crops
