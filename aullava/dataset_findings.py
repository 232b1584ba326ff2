"""What a run found in its datasets: said when it starts, kept in the run folder when it ends."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from aullava.training.run_folder import write_json
from datamodules.mixture import Mixture

FILE = "findings.json"


@rank_zero_only
def tell_findings(data: Mixture) -> None:
    """Say what is left out or shown otherwise, a line for each kind; unknown labels are no news."""
    for one in data.datasets:
        for kind, (count, first) in one.findings.told().items():
            print(f"warning: dataset '{one.name}': {count:,} x {kind}, the first: {first}", file=sys.stderr)


@rank_zero_only
def keep_findings(data: Mixture, run: Path) -> None:
    """Write every finding into the run folder, beside those of earlier verbs, and say the new ones.

    Args:
        data: after its loaders were read, so that faces which were not found are among its findings.
        run: the run folder; ``findings.json`` holds a list for each dataset.
    """
    path = run / FILE
    kept: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for one in data.datasets:
        one.crops.tell_missed(one.index.sample_ids)  # those that the baselines came across
        known = {tuple(found.values()): found for found in kept.get(one.name, [])}
        known |= {tuple(found.values()): found for found in map(asdict, one.findings)}
        kept[one.name] = list(known.values())
    write_json(path, kept)
    for one in data.datasets:
        missed = one.findings.told().get("middle-shown")
        if missed is not None:
            print(f"warning: {missed[0]:,} x middle-shown (listed in {path}): {missed[1]}", file=sys.stderr)
