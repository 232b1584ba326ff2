"""Finds calls and imports that run code or trust bytes from a file: what no module of ours may contain."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.source_tree import Module

PICKLES = ("pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")
RUNS_CODE = ("eval", "exec", "compile", "__import__")
# The registry imports the classes it maps names to: nothing that a file names.
MAY_IMPORT_BY_NAME = ("datamodules.registry",)


def dangers(module: Module) -> list[str]:
    """Describe every dangerous construct of a module, one `file:line what` each; empty when there is none."""
    found = [
        f"{module.where(item.line)} imports {item.target}"
        for item in module.imports
        if item.target.split(".")[0] in PICKLES or item.target == "torch.hub"
    ]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            found += [f"{module.where(node.lineno)} {what}" for what in _call(node, module.name)]
        elif isinstance(node, ast.Dict):
            found += [f"{module.where(node.lineno)} {what}" for what in _dictionary(node)]
        elif isinstance(node, ast.ImportFrom) and node.module == "torch":
            taken = [alias.name for alias in node.names]
            found += [f"{module.where(node.lineno)} torch.load by another name"] if "load" in taken else []
    return found


def _dictionary(node: ast.Dict) -> Iterator[str]:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "trust_remote_code" and not _is(value, False):
            yield "trust_remote_code"


def _call(node: ast.Call, module: str) -> Iterator[str]:
    called = ast.unparse(node.func)
    keywords = {word.arg: word.value for word in node.keywords}
    trusted = keywords.get("trust_remote_code")
    if trusted is not None and not _is(trusted, False):
        yield "trust_remote_code"
    if called == "torch.load" and not _is(keywords.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if called.startswith("torch.hub."):
        yield called
    if called.endswith(".load_from_checkpoint"):
        yield "load_from_checkpoint: its hyper-parameters run code; load a state dict"
    if called in RUNS_CODE:
        yield f"{called}()"
    if "allow_pickle" in keywords and not _is(keywords["allow_pickle"], False):
        yield "allow_pickle"
    written_out = bool(node.args) and isinstance(node.args[0], ast.Constant)
    by_name = called in ("importlib.import_module", "import_module") and not written_out
    if by_name and module not in MAY_IMPORT_BY_NAME:
        yield "imports a module whose name is computed"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
