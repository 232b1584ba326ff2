"""Reads our own source with `ast`: which modules there are, what each imports and when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("aullava", "datamodules")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module.

    Attributes:
        target: Absolute dotted name of the module; a name taken out of one of our packages resolves to the
            submodule when there is one, and to the package (its `__init__`) otherwise.
        line: Line of the statement.
        lazy: True inside a function: it runs when the function does, not at import.
        typing_only: True under `if TYPE_CHECKING:`: it never runs.
    """

    target: str
    line: int
    lazy: bool
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """A source file of ours: its dotted name, path, text, syntax tree and imports."""

    name: str
    path: Path
    text: str
    tree: ast.Module
    imports: tuple[Import, ...] = field(default=())

    @property
    def is_package(self) -> bool:
        """True for an `__init__.py`."""
        return self.path.name == "__init__.py"

    def where(self, line: int) -> str:
        """`file:line`, as an editor opens it."""
        return f"{self.path}:{line}"


def load_tree(root: Path = REPOSITORY) -> dict[str, Module]:
    """Parse every module of our packages below `root`, by dotted name."""
    paths = {
        _dotted(path.relative_to(root)): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }
    modules = {}
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(path))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = tuple(_imports(tree.body, package, known=set(paths), lazy=False, typing_only=False))
        modules[name] = Module(name, path.relative_to(root), text, tree, found)
    return modules


def imported_at_import(module: str, modules: dict[str, Module]) -> dict[str, str]:
    """What runs when `module` is imported: dotted name -> `file:line` of the import that pulls it in.

    Importing `a.b.c` runs `a`, `a.b` and `a.b.c`; imports in functions and under TYPE_CHECKING do not.
    """
    reached: dict[str, str] = {}
    waiting = [(name, "") for name in (*ancestors(module), module)]
    while waiting:
        name, source = waiting.pop()
        if name in reached:
            continue
        reached[name] = source
        if name not in modules:
            continue
        here = modules[name]
        for found in here.imports:
            if not found.lazy and not found.typing_only:
                waiting += [
                    (step, here.where(found.line)) for step in (*ancestors(found.target), found.target)
                ]
    return reached


def ancestors(name: str) -> list[str]:
    """The packages above a module: `a.b.c` -> `["a", "a.b"]`."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def below(name: str, prefix: str) -> bool:
    """True when `name` is `prefix` or lies inside it."""
    return name == prefix or name.startswith(prefix + ".")


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(
    body: list[ast.stmt], package: str, *, known: set[str], lazy: bool, typing_only: bool
) -> Iterator[Import]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for target in _targets(statement, package, known):
                yield Import(target, statement.lineno, lazy, typing_only)
            continue
        inside = lazy or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for name, branch in _branches(statement):
            guarded = typing_only or (name == "body" and _is_type_checking(statement))
            yield from _imports(branch, package, known=known, lazy=inside, typing_only=guarded)


def _branches(statement: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The lists of statements inside a statement: bodies, else branches, handlers and cases."""
    for name, value in ast.iter_fields(statement):
        if not isinstance(value, list):
            continue
        for part in value:
            if isinstance(part, ast.ExceptHandler | ast.match_case):
                yield name, part.body
        if value and isinstance(value[0], ast.stmt):
            yield name, value


def _is_type_checking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def _targets(statement: ast.Import | ast.ImportFrom, package: str, known: set[str]) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    source = statement.module or ""
    if statement.level:
        base = package.split(".")[: len(package.split(".")) - (statement.level - 1)]
        source = ".".join([*base, source] if source else base)
    submodules = [f"{source}.{alias.name}" for alias in statement.names]
    return list(dict.fromkeys(name if name in known else source for name in submodules))
