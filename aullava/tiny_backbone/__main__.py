"""Makes the shipped tiny backbone anew: ``python -m aullava.tiny_backbone --out aullava/models/tiny``.

Reckoned from its parts it takes about seven hours on one core; behind ``torchrun --nproc-per-node 2 -m`` two
processes learn together. Part of it, from an encoder that is there: ``--vision FOLDER --cycles 5 6``.
The same seed on the same machine gives the same weights; other processors round differently, so that the
weights differ while the scores stay close.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from aullava.config.schema import StrategyConfig
from aullava.tiny_backbone.encoder import EncoderRecipe, Lessons, train_encoder
from aullava.tiny_backbone.language import Cycle, LanguageRecipe, train_llm
from aullava.tiny_backbone.tokenizer import train_tokenizer
from aullava.tiny_backbone.write import write_encoder, write_llm
from aullava.training.processes import joined
from datamodules.drawn_faces.store import ensure_store, open_store, store_path

OTHER_PEOPLE, FACES_EACH, POPULATION = 2400, 40, 1


def main() -> None:
    """Draw other people, learn the encoder on them, learn the LLM on texts, write both."""
    parser = argparse.ArgumentParser(prog="python -m aullava.tiny_backbone", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for vision/ and llm/")
    parser.add_argument(
        "--faces", type=Path, default=Path("data/synthetic"), help="where drawn faces are kept"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vision", type=Path, help="folder of an encoder to go on with")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--steps", type=int, nargs=2, metavar=("ENCODER", "LLM"), help="shorter, to try it out")
    part.add_argument(
        "--cycles", type=int, nargs="+", help="these of the encoder's cycles only, and no language model"
    )
    arguments = parser.parse_args()
    encoder, language = EncoderRecipe(), LanguageRecipe()
    if arguments.cycles:
        if not set(arguments.cycles) <= set(range(1, len(encoder.cycles) + 1)):
            parser.error(f"--cycles: the encoder has the cycles 1 to {len(encoder.cycles)}")
        encoder = replace(encoder, cycles=tuple(encoder.cycles[number - 1] for number in arguments.cycles))
    if arguments.steps:
        encoder = EncoderRecipe(cycles=(Lessons(arguments.steps[0], 1e-3),))
        language = LanguageRecipe(cycles=(Cycle(arguments.steps[1], 2e-3),))

    faces = [(person, number) for person in range(OTHER_PEOPLE) for number in range(FACES_EACH)]
    path = store_path(arguments.faces, POPULATION, faces, encoder.image_size)
    together = StrategyConfig(name="ddp", devices=int(os.environ.get("WORLD_SIZE", "1")))
    with joined(together, "cpu") as processes:
        with processes.one_first():
            ensure_store(path, POPULATION, faces, encoder.image_size)
        vision = train_encoder(open_store(path), encoder, arguments.seed, processes, arguments.vision)
        if processes.writes:
            write_encoder(vision, arguments.out / "vision")
        if arguments.cycles:
            return
        tokenizer = train_tokenizer()
        llm = train_llm(tokenizer, language, arguments.seed, processes)
        if processes.writes:
            write_llm(llm, tokenizer, arguments.out / "llm")


if __name__ == "__main__":
    main()
