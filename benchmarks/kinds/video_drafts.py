"""How many passes a frame of a video takes, by what the answer is drafted with.

    python -m benchmarks.kinds.video_drafts runs/demo/1 [--walks 4] [--formats presence,level,intensity]

The run, which must have been tested (its probes draft), answers about drawn faces of people it has not seen:

    moving   a face goes smoothly from one expression to another, as fast as makes every fifth frame, or more,
             change a decision
    grainy   the same, with fresh noise of the camera in every frame, and at least every fifth changes
    jumping  every fifth frame is another face, the one of 100 whose answer differs least

With a draft that says what the frame before said, a frame that changes takes two passes: 1.20 is the least.
Answers do not hang on drafts; where two choices are equally likely to the last bits of fp32 the shape of a
pass may decide, and how often it did is said at the end. Independent answers always take one pass.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aullava.decoding.cost import PassCounts
from aullava.decoding.drafts import Reader, Values
from aullava.decoding.one_pass import OnePass
from aullava.inference.predictor import Predictor
from aullava.inference.questions import Question
from datamodules.action_units import Scale
from datamodules.drawn_faces.actions import Actions, draw_actions
from datamodules.drawn_faces.person import draw_person
from datamodules.drawn_faces.scene import draw_face, draw_scene, render

POPULATION, SIZE, EVERY = 99, 96, 5
KINDS = ("commonest", "probe", "frame before", "ours, no probe", "ours")


class Told:
    """Drafts that are handed in."""

    values: Values

    def guess(self, features: Tensor, aus: Sequence[str], scale: Scale) -> Values:
        """What was told."""
        return self.values


@dataclass(frozen=True)
class Video:
    """Frames, and the answer to one question about each."""

    features: list[Tensor]
    values: Values

    @property
    def changes(self) -> float:
        """The share of its frames that change a decision."""
        return float((self.values[1:] != self.values[:-1]).any(axis=1).mean())


def walk(number: int, steps: int, grainy: bool) -> list[np.ndarray]:
    """A face that goes from one expression to another, slowly at first and at last."""
    rng = np.random.default_rng([POPULATION, number])
    ends, scene, person = (draw_actions(rng), draw_actions(rng)), draw_scene(rng), draw_person(7, number)
    found = []
    for way in (1 - np.cos(np.linspace(0, np.pi, steps))) / 2:
        codes = [*ends[0].amounts, *ends[1].amounts]
        actions = Actions({code: (1 - way) * ends[0][code] + way * ends[1][code] for code in codes})
        noise = int(rng.integers(2**31)) if grainy else scene.noise_seed
        found.append(render(person, actions, replace(scene, noise_seed=noise), SIZE))
    return found


class Bench:
    """A run, and how it answers about features."""

    def __init__(self, run: Path) -> None:
        self.predictor = Predictor.from_run(run, device="cpu")
        self.decoder = self.predictor.decoder
        self.probe = self.decoder.reader
        self.ties = 0

    def see(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """Features of pictures, each in a tensor of its own."""
        parts = [self.decoder.see(images[start : start + 32]) for start in range(0, len(images), 32)]
        return list(torch.cat(parts).split(1))

    def answers(self, features: Sequence[Tensor], question: Question) -> Values:
        """What is said about each, [n, A]."""
        found = []
        for start in range(0, len(features), 32):
            part = torch.cat(list(features[start : start + 32]))
            found += self.decoder.ask(part, [""] * len(part), question.aus, question.scale)
        return np.stack([one.values for one in found])

    def moving(self, frames: list[Tensor], question: Question) -> Video:
        """Every n-th of the frames, so that of these every fifth or more changes a decision."""
        whole = Video(frames, self.answers(frames, question))
        for step in range(1, len(frames) // 10):
            found = Video(frames[::step], whole.values[::step])
            if found.changes >= 1 / EVERY:
                break
        return found

    def jumping(self, frames: list[Tensor], question: Question) -> Video:
        """Every fifth frame another one of the faces, whose answer differs least."""
        values = self.answers(frames, question)
        shown, left, order = 0, set(range(1, len(frames))), [0]
        for frame in range(1, len(frames)):
            if frame % EVERY == 0:
                far = (values != values[shown]).sum(axis=1)
                shown = min((face for face in left if far[face]), key=far.__getitem__)
                left.discard(shown)
            order.append(shown)
        return Video([frames[place] for place in order], values[order])

    def passes(self, videos: Sequence[Video], question: Question, kind: str) -> float:
        """Passes a frame, the first frame of each video left out."""
        told, counts = Told(), PassCounts()
        reader: Reader | None = {"probe": self.probe, "ours": self.probe, "frame before": told}.get(kind)
        decoder = OnePass(self.decoder.model, self.decoder.collator, reader)
        for number, video in enumerate(videos):
            told.values = video.values[:1]
            name = f"video {number}" if kind.startswith("ours") else None
            for features, wanted in zip(video.features, video.values, strict=True):
                (said,) = decoder.ask(features, [""], question.aus, question.scale, video=name)
                if features is video.features[0]:
                    before = replace(decoder.counts)
                self.ties += not np.array_equal(said.values, wanted)
                told.values = said.values[None]
            counts.rows += decoder.counts.rows - before.rows
            counts.passes += decoder.counts.passes - before.passes
        return counts.passes_per_row


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--walks", type=int, default=4)
    parser.add_argument("--steps", type=int, default=160, help="frames of which a walk takes every n-th")
    parser.add_argument("--faces", type=int, default=100, help="among which the jumping one is chosen")
    parser.add_argument("--formats", default=",".join(Scale))
    parser.add_argument("--kinds", default=",".join(("moving", "grainy", "jumping")))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(chosen.run)
    print(f"{'':<22}{'frames':>7}{'change':>8}" + "".join(f"{kind:>16}" for kind in KINDS))
    for kind in chosen.kinds.split(","):
        if kind == "jumping":
            seen = [bench.see([draw_face(POPULATION, n, 0, SIZE)[0] for n in range(chosen.faces)])]
        else:
            seen = [bench.see(walk(n, chosen.steps, kind == "grainy")) for n in range(chosen.walks)]
        for question in bench.predictor.questions:
            if question.scale not in chosen.formats.split(","):
                continue
            make = bench.jumping if kind == "jumping" else bench.moving
            videos = [make(one, question) for one in seen]
            counts = [len(one.features) - 1 for one in videos]
            changes = np.average([one.changes for one in videos], weights=counts)
            print(f"{kind + ' ' + question.scale:<22}{sum(counts):>7}{changes:>8.1%}", end="", flush=True)
            for way in KINDS:
                print(f"{bench.passes(videos, question, way):>16.2f}", end="", flush=True)
            print()
    print(f"answers that were decided otherwise than in batches: {bench.ties}")


if __name__ == "__main__":
    main()
