"""The words of the command line: verbs, their arguments, and their help. No torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar, NoReturn

_OVERRIDES = "key=value sets one value; data=NAME, model=NAME, strategy=NAME swap a fragment of experiments/"
_RUN = "folder of a run, such as runs/demo/1"


class UsageError(Exception):
    """The command line asks for what is not there; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs, each with an example in its help."""
    parser = _Parser(
        prog="aullava",
        description="AU-LLaVA reads facial Action Units: presence, level or intensity, from one model.",
        epilog="`aullava VERB --help` explains a verb. Start with: aullava demo",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    def verb(name: str, says: str, example: str) -> argparse.ArgumentParser:
        about = f"{says[0].upper()}{says[1:]}."
        return verbs.add_parser(name, help=says, description=about, epilog=f"example: aullava {example}")

    fit = verb(
        "fit", "train a model into a new run folder", "fit experiments/demo.yaml trainer.max_steps=200"
    )
    validate = verb("validate", "score a run on its validation people", "validate runs/demo/1")
    test = verb("test", "score a run on its test people", "test runs/demo/1 evaluation.test_samples=200")
    _predict(verb("predict", "answer for your own images", "predict runs/demo/1 a.png b.png --formats level"))
    says = "print every value of an experiment and where it came from"
    config = verb("config", says, "config experiments/demo.yaml seed=1")
    _datasets(verb("datasets", "list the datasets, or describe one", "datasets synthetic_bp4d"))
    demo = verb("demo", "train, score and show the whole thing on synthetic faces", "demo")

    for parts in (fit, config):
        parts.add_argument(
            "experiment", type=Path, metavar="EXPERIMENT", help="such as experiments/demo.yaml"
        )
    for parts in (validate, test):
        parts.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    for parts in (fit, validate, test, config, demo):
        parts.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=_OVERRIDES)
    return parser


def _predict(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    parts.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures of one face each")
    formats = "presence, level, intensity, or several with commas between; default: those trained"
    parts.add_argument("--formats", help=formats)
    parts.add_argument("--out", type=Path, metavar="DIR", help="write tables and drawings into this folder")


def _datasets(parts: argparse.ArgumentParser) -> None:
    parts.add_argument(
        "name", nargs="?", metavar="NAME", help="describe this one: AUs, scale, protocols, layout"
    )
    parts.add_argument(
        "--sheet", type=Path, metavar="FILE", help="draw every AU of the synthetic faces into FILE"
    )
