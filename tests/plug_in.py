"""A dataset package made known to child processes without installing it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from tests.source_tree import REPOSITORY


def register(package: Path, site: Path) -> dict[str, str]:
    """Write what pip would write for the entry points in a package's pyproject.toml.

    Args:
        package: folder with pyproject.toml and modules.
        site: folder that stands for site-packages; may be new.

    Returns:
        The environment of a process that knows the package.
    """
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    told = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(told, encoding="utf-8")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, package, REPOSITORY)))}
