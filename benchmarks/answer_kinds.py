"""What the way of asking and answering is worth on trained runs: kinds, orders and forms of answers.

    python benchmarks/answer_kinds.py [--small] [--steps 300] [--seeds 0,1,2] [--only named,independent]

Every way trains the demo's experiment with one key changed, on the same faces, for the same steps, and
answers about the same held-out people. Runs that are there already are not repeated. Speed: processor time
of one thread, decoding alone (the faces are encoded before), the ways in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aullava.build import build_collator, build_data, build_fast_decoder, build_model
from aullava.config.load import resolve
from aullava.decoding.one_pass import OnePass
from aullava.training.checkpoint import load_weights
from aullava.vocabulary import vocabulary
from datamodules.action_units import Scale
from datamodules.base import AUDataModule

REPOSITORY = Path(__file__).resolve().parent.parent
WAYS = {
    "named": (),
    "independent": ("answer.independent=true",),
    "list": ("answer.form=list",),
    "compact": ("answer.form=compact",),
    "image_first": ("text.order=image_first",),
    "question_first": ("text.order=question_first",),
}
SCORES = {
    "presence F1": "test/synthetic_bp4d/f1_macro",
    "presence AUROC": "test/synthetic_bp4d/auroc_macro",
    "level F1": "test/synthetic_disfa/f1_macro",
    "level PCC": "test/synthetic_disfa/pcc_macro",
    "intensity PCC": "test/synthetic_feafa/pcc_macro",
    "intensity MAE": "test/synthetic_feafa/mae_macro",
    "as written PCC": "test/synthetic_feafa/by_mode/pcc_macro",
    "uncertified": "test/synthetic_bp4d/uncertified_rate",
}
FACES = 32
SMALL = ("train_people=5", "test_people=1", "faces_per_person=2", "test_faces_per_person=3")


@dataclass(frozen=True)
class Settings:
    """What all runs share."""

    out: Path
    steps: int
    small: bool

    def words(self, way: str, seed: int) -> list[str]:
        """The overrides of one run."""
        words = [f"runs_dir={self.out}", f"experiment={way}-s{seed}", f"seed={seed}", *WAYS[way]]
        words += [f"trainer.max_steps={self.steps}", "trainer.accelerator=cpu"]
        if self.small:
            words.append("data.batch_size=2")
            for name in ("synthetic_bp4d", "synthetic_disfa", "synthetic_feafa"):
                words.append(f"data.datasets.{name}.root={self.out / 'faces'}")
                words += [f"data.datasets.{name}.options.{one}" for one in SMALL]
        return words


def trained(settings: Settings, way: str, seed: int) -> Path:
    """The folder of a run, which is fitted and tested unless it is there."""
    run = settings.out / f"{way}-s{seed}" / "1"
    scored = run / "result.json"
    if not scored.is_file() or "test/" not in scored.read_text():
        aullava = [sys.executable, "-m", "aullava"]
        demo = str(REPOSITORY / "experiments" / "demo.yaml")
        for words in (
            ["fit", demo, *settings.words(way, seed)],
            ["test", str(run), "evaluation.baselines=false"],
        ):
            subprocess.run([*aullava, *words], check=True, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    return run


class Asked:
    """A trained run that answers about some test faces, one at a time or together."""

    def __init__(self, run: Path) -> None:
        config = resolve(run / "config.yaml", (), vocabulary()).config
        model = build_model(config)
        load_weights(model, run)
        self.decoder: OnePass = build_fast_decoder(config, model.eval(), build_collator(config, model))
        data = build_data(config)
        data.prepare_data()
        data.setup("test")
        self.members: dict[Scale, AUDataModule] = {one.coded_scale(): one for one in data.members}
        rows = data.members[0].rows("test")
        chosen = np.linspace(0, len(rows) - 1, min(FACES, len(rows))).astype(int)
        self.features = self.decoder.see([data.members[0].sample(rows[place]).image for place in chosen])

    def tokens(self, scale: Scale) -> float:
        """Answer tokens for each Action Unit."""
        aus = tuple(self.members[scale].asked_aus)
        prompt = self.decoder.collator.prompt(aus, scale)
        steps = [len(one.steps) - 1 for one in prompt.branches] or [len(prompt.grammar.steps)]
        return sum(steps) / len(aus)

    def decode(self, scale: Scale, size: int) -> Callable[[], None]:
        """Answers about all faces in batches of some size."""
        aus, count = tuple(self.members[scale].asked_aus), len(self.features)

        def run() -> None:
            for start in range(0, count, size):
                part = self.features[start : start + size]
                self.decoder.ask(part, [str(one) for one in range(len(part))], aus, scale)

        return run


def speeds(asked: dict[str, Asked], turns: int) -> dict[str, dict[str, float]]:
    """Milliseconds a face, for each way: medians over turns in which all ways come once."""
    found: dict[str, dict[str, float]] = {name: {} for name in asked}
    for scale in (Scale.PRESENCE, Scale.INTENSITY):
        for size in (1, FACES):
            taken: dict[str, list[float]] = {name: [] for name in asked}
            for turn in range(turns + 1):
                for name, one in asked.items():
                    decode = one.decode(scale, size)
                    start = time.process_time()
                    decode()
                    if turn:  # the first one fills what is kept of a question
                        taken[name].append(1000 * (time.process_time() - start) / len(one.features))
            for name, times in taken.items():
                found[name][f"{scale} ms, batch {size}"] = statistics.median(times)
    return found


def scores(runs: Sequence[Path]) -> dict[str, str]:
    """Mean and range of each score over the seeds of one way."""
    read = [json.loads((run / "result.json").read_text()) for run in runs]
    found = {}
    for title, key in SCORES.items():
        values = [one[key] for one in read if one.get(key) is not None]
        if values:
            spread = f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else ""
            found[title] = f"{statistics.mean(values):.3f}{spread}"
    return found


def table(rows: dict[str, dict[str, str]]) -> str:
    """As Markdown."""
    columns = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(row.get(key, "-") for key in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="two ways, two steps, a few faces: that it runs")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default=",".join(WAYS), help="which ways")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "runs" / "answer_kinds")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--train-only", action="store_true", help="no table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    out = chosen.out / "small" if chosen.small else chosen.out
    settings = Settings(out.resolve(), 2 if chosen.small else chosen.steps, chosen.small)
    seeds = [0] if chosen.small else [int(seed) for seed in chosen.seeds.split(",")]
    ways = ["named", "independent"] if chosen.small else chosen.only.split(",")
    runs = {way: [trained(settings, way, seed) for seed in seeds] for way in ways}
    if chosen.train_only:
        return
    asked = {way: Asked(found[0]) for way, found in runs.items()}
    fast: dict[str, Any] = speeds(asked, 1 if chosen.small else chosen.turns)
    rows = {}
    for way, found in runs.items():
        tokens = {f"{scale} tokens": f"{asked[way].tokens(scale):.1f}" for scale in Scale}
        rows[way] = scores(found) | tokens | {key: f"{value:.1f}" for key, value in fast[way].items()}
    print(f"{settings.steps} steps, seeds {', '.join(map(str, seeds))}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
