"""What a model card says of a run, read off its folder, its config and the datasets it names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from aullava.build import build_data
from aullava.config.schema import Config
from aullava.export.card import COLUMNS, Base, Data, Facts
from aullava.models.licences import licence_of
from datamodules.base import AUDataModule

Result = Mapping[str, Any]


def card_facts(run: Path, config: Config, dtype: torch.dtype, verified: Sequence[str]) -> Facts:
    """The facts of a run.

    Args:
        run: its folder; what is not there (no result yet) is left out of the card.
        config: its config.
        dtype: of the exported weights.
        verified: lines of the comparison with the run.
    """
    result, prints = _read(run / "result.json"), _read(run / "fingerprint.json")
    scored = next((part for part in ("test", "val") if any(key.startswith(f"{part}/") for key in result)), "")
    data = [_data(member, config, scored, result, prints) for member in build_data(config).members]
    return Facts(
        title=config.experiment,
        bases=_bases(config),
        trained=_trained(config),
        data=data,
        scored=scored,
        dtype=str(dtype).removeprefix("torch."),
        steps=config.trainer.max_steps,
        versions=_read(run / "versions.json"),
        verified=verified,
    )


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _bases(config: Config) -> list[Base]:
    if config.llm.init_from is not None:
        name = config.llm.init_from
        return [Base("vision encoder and language model", name, licence_of(name, "llava"))]
    vision, llm = config.vision.name, config.llm.name
    read = ", ".join(map(str, config.vision.layers))
    return [
        Base(f"vision encoder, hidden state {read}", vision, licence_of(vision, "vision")),
        Base("language model", llm, licence_of(llm, "llm")),
    ]


def _trained(config: Config) -> str:
    adapter = config.adapter
    if adapter.kind == "none":
        return f"{config.projector.kind} projector"
    update = f"{adapter.kind} r={adapter.r}, alpha={adapter.alpha} on {', '.join(adapter.targets)}"
    if adapter.vision_targets:
        update += f" and, of the vision encoder, on {', '.join(adapter.vision_targets)}"
    return f"{config.projector.kind} projector; {update}"


def _data(member: AUDataModule, config: Config, scored: str, result: Result, prints: Result) -> Data:
    """One dataset, with its scores out of the run's result."""
    settings = config.data.datasets[member.name.partition(".")[0]]
    protocol = settings.protocol or member.protocols[0]
    head = f"{scored}/{member.name}"
    scores = {
        code: {name: result[key] for name in COLUMNS if (key := f"{head}/{name}/{code}") in result}
        for code in member.asked_aus
    }
    means = {name: f"{head}/{name}_macro" for name in COLUMNS}
    return Data(
        name=member.name,
        licence=member.licence,
        protocol=f"{protocol}, fold {settings.fold}",
        fingerprint=str(prints.get(member.name, "not recorded")),
        aus=tuple(member.asked_aus),
        scores=scores,
        macro={name: result[key] for name, key in means.items() if key in result},
    )
