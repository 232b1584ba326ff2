"""What setup.cfg, constraints.txt and the Makefile say fits together and fits the source."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from importlib import metadata
from itertools import pairwise

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.source_tree import PACKAGES, REPOSITORY, load_tree

# Where the name that is imported differs from the name that is installed.
INSTALLED_AS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn"}


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser(comment_prefixes=("#",))
    setup.read(REPOSITORY / "setup.cfg")
    return setup


def _lines(text: str) -> list[Requirement]:
    lines = (line.strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def _declared() -> dict[str, Requirement]:
    return {canonicalize_name(r.name): r for r in _lines(_setup()["options"]["install_requires"])}


def _development() -> list[Requirement]:
    return _lines(_setup()["options.extras_require"]["dev"])


def _extras() -> list[Requirement]:
    return [line for extra in _setup()["options.extras_require"].values() for line in _lines(extra)]


def _constraints() -> dict[str, str]:
    lines = _lines((REPOSITORY / "constraints.txt").read_text(encoding="utf-8"))
    return {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in lines}


def test_what_the_packages_import_is_declared() -> None:
    ours = (*PACKAGES, *sys.stdlib_module_names)
    imported = {item.target.split(".")[0] for module in load_tree().values() for item in module.imports}
    needed = {canonicalize_name(INSTALLED_AS.get(name, name)) for name in imported if name not in ours}
    assert sorted(needed - set(_declared())) == []


def test_the_tested_versions_are_allowed() -> None:
    pinned = _constraints()
    wanted = [*_declared().values(), *_development()]
    assert [str(r) for r in wanted if not r.specifier.contains(pinned[canonicalize_name(r.name)])] == []


def test_every_requirement_says_why() -> None:
    """A comment stands above each line, so that nobody has to guess what a minimum protects from."""
    text = (REPOSITORY / "setup.cfg").read_text(encoding="utf-8").splitlines()
    requirement = re.compile(r"^ {4}[A-Za-z][\w.-]*\s*(==|>=)")
    required = [(above, line) for above, line in pairwise(text) if requirement.match(line)]
    assert len(required) == len(_declared()) + len(_extras())
    assert [line for above, line in required if not above.strip().startswith("#")] == []


def test_the_installed_versions_are_the_constrained_ones() -> None:
    """The suite vouches for constraints.txt only when it runs on it; +cpu is the builder's label."""
    installed = {name: metadata.version(name).split("+")[0] for name in _declared()}
    assert installed == {name: _constraints()[name] for name in installed}


def test_make_names_the_constrained_torch_on_every_install_line() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert installs
    torch = f" -c constraints.txt torch=={_constraints()['torch']} "
    assert [line for line in installs if torch not in line] == []


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "lint", "bench", "clean"])
def test_make_knows_the_targets_that_the_readme_names(target: str) -> None:
    ran = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
