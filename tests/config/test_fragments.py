"""`extends`, the places where fragments are looked up, and swaps from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aullava.config.errors import ConfigError
from aullava.config.fragments import EXPERIMENTS
from aullava.config.load import Resolved, resolve
from aullava.config.show import save

Files = Callable[[dict[str, str]], Path]
REST = "trainer: {max_steps: 1}\n"
A, B = "data: {batch_size: 7, datasets: {a: }}\n", "data: {batch_size: 9, flip: 0.25, datasets: {b: }}\n"


def _names(resolved: Resolved) -> list[str]:
    return [path.stem for path in resolved.files]


def test_files_are_merged_in_order_each_after_what_it_extends(files: Files) -> None:
    files({"deep": "seed: 1\nruns_dir: x\n", "base": "extends: deep\nseed: 2\n"})
    files({"late": "extends: [deep]\nruns_dir: y\noptim: {clip: 3}\n", "data/a": A})
    resolved = resolve(files({"x": f"extends: [base, late, data/a]\noptim: {{clip: 4}}\n{REST}"}))
    assert _names(resolved) == ["deep", "base", "late", "a", "x"]
    config = resolved.config
    assert (config.seed, config.runs_dir, config.optim.clip, config.data.batch_size) == (2, "y", 4.0, 7)


def test_a_fragment_is_looked_up_beside_the_file_then_above_then_in_the_repository(files: Files) -> None:
    files({"data/a": "seed: 1\n" + A, "mine/data/b": "seed: 2\n" + A, "data/b": "seed: 3\n" + A})
    path = files({"mine/deep/x": f"extends: [data/a, data/b]\n{REST}"})
    assert resolve(path).config.seed == 2
    path = files({"mine/deep/y": f"extends: [data/a.yaml, strategy/ddp]\n{REST}"})
    resolved = resolve(path)
    assert (resolved.config.seed, resolved.config.strategy.name) == (1, "ddp")
    assert EXPERIMENTS / "strategy" / "ddp.yaml" in resolved.files


def test_an_unknown_fragment_names_the_nearest_and_the_line(files: Files) -> None:
    files({"data/faces": A})
    path = files({"x": f"seed: 1\nextends: [data/facse]\n{REST}"})
    with pytest.raises(ConfigError) as caught:
        resolve(path)
    assert str(caught.value) == "x.yaml:2: there is no fragment 'data/facse', did you mean 'data/faces'?"
    with pytest.raises(ConfigError) as caught:
        resolve(path, ["data=fces"])
    assert str(caught.value) == "command line: there is no fragment 'data/fces', did you mean 'data/faces'?"


@pytest.mark.parametrize(
    ("texts", "circle"),
    [
        ({"x": "extends: x\n"}, "x.yaml: extends itself in a circle (x.yaml -> x.yaml)"),
        (
            {"b": "extends: x\n", "a": "extends: b\n", "x": "extends: a\n"},
            "x.yaml: extends itself in a circle (x.yaml -> a.yaml -> b.yaml -> x.yaml)",
        ),
        (
            {"b": "extends: a\n", "a": "extends: b\n", "x": "extends: a\n"},
            "a.yaml: extends itself in a circle (a.yaml -> b.yaml -> a.yaml)",
        ),
    ],
)
def test_a_circle_is_refused(files: Files, texts: dict[str, str], circle: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(files(texts))
    assert str(caught.value) == f"{circle}: take one of these out"


def test_a_swap_replaces_the_fragment_wherever_it_is_extended(files: Files) -> None:
    files({"data/a": A, "data/b": B, "demo": "extends: data/a\nseed: 5\n"})
    resolved = resolve(files({"x": f"extends: demo\n{REST}"}), ["data=b"])
    assert _names(resolved) == ["b", "demo", "x"]
    assert list(resolved.config.data.datasets) == ["b"]
    assert resolved.provenance["data.flip"] == "data/b.yaml:1"


def test_the_file_and_the_command_line_win_over_a_swapped_fragment(files: Files) -> None:
    files({"data/a": A, "data/b": B})
    path = files({"x": f"extends: data/a\n{REST}data: {{batch_size: 3}}\n"})
    data = resolve(path, ["data.flip=0", "data=b"]).config.data
    assert (data.batch_size, data.flip, list(data.datasets)) == (3, 0.0, ["b"])


def test_a_swap_needs_not_the_fragment_it_replaces(files: Files) -> None:
    files({"data/b": B})
    path = files({"x": f"extends: data/gone\n{REST}"})
    assert list(resolve(path, ["data=b"]).config.data.datasets) == ["b"]


def test_a_swapped_fragment_is_looked_up_from_the_experiment(files: Files) -> None:
    """The shipped demo extends data/synthetic; a user's own data/ folder beside his file serves the swap."""
    files({"data/b": B})
    config = resolve(files({"x": "extends: demo\n"}), ["data=b"]).config
    assert (config.experiment, list(config.data.datasets)) == ("demo", ["b"])


def test_a_group_that_is_not_extended_goes_below_the_file(files: Files) -> None:
    path = files({"x": f"{REST}data: {{datasets: {{a: }}}}\nstrategy: {{devices: 4}}\n"})
    resolved = resolve(path, ["strategy=ddp"])
    assert (resolved.config.strategy.name, resolved.config.strategy.devices) == ("ddp", 4)
    assert _names(resolved) == ["ddp", "x"]


@pytest.mark.parametrize(
    ("swap", "key"),
    [("data=b", "data.datasets.a.root"), ("strategy=ddp", "strategy.name"), ("model=tiny", "vision.name")],
)
def test_a_swap_without_a_clear_effect_is_refused(files: Files, swap: str, key: str) -> None:
    """The saved config of a run says everything itself: a swap would change nothing or mix datasets."""
    files({"data/b": B})
    save(resolve(files({"x": f"{REST}{A}"})), "config.yaml")
    with pytest.raises(ConfigError) as caught:
        resolve("config.yaml", [swap])
    assert str(caught.value) == (
        f"command line: {swap} cannot take the place of what config.yaml says itself ({key}): "
        "swap it in an experiment that extends fragments, or give single keys instead"
    )
