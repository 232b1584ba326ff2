"""Every refusal is one line that names the place, the key and the nearest valid word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aullava.config.errors import ConfigError
from aullava.config.load import resolve
from aullava.config.schema import Vocabulary

Files = Callable[[dict[str, str]], Path]
FACES = "data.datasets.drawn_faces"
TOP = "experiment, seed, runs_dir, init_from_run, data, text, answer, vision, projector, llm, adapter, "
TOP += "optim, trainer, "


def _refusal(path: Path, overrides: list[str], words: Vocabulary) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(path, overrides, words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


OVERRIDES = {
    # unknown words
    "trainer.max_stepz=1": "unknown key 'trainer.max_stepz', did you mean 'max_steps'?",
    "trainr.max_steps=1": "unknown key 'trainr', did you mean 'trainer'?",
    "max_steps=1": "unknown key 'max_steps', did you mean 'trainer.max_steps'?",
    "trainer.seed=1": "unknown key 'trainer.seed', did you mean 'seed'?",
    "zz=1": f"unknown key 'zz', it can be {TOP}strategy, decoding, evaluation",
    "data.datasets.drawn_face.root=x": "unknown dataset 'drawn_face', did you mean 'drawn_faces'?",
    "data.datasets.drawn.root=x": "unknown dataset 'drawn', did you mean 'drawn_faces'?",
    f"{FACES}.rot=x": f"unknown key '{FACES}.rot', did you mean 'root'?",
    f"{FACES}.people=3": f"unknown key '{FACES}.people', did you mean 'options.people'?",
    f"{FACES}.options.peple=3": "unknown option 'peple' of dataset 'drawn_faces', did you mean 'people'?",
    "data.datasets.plain_faces.options.x=1": "unknown option 'x' of dataset 'plain_faces', "
    "it takes no options",
    f"{FACES}.aus=[AU1,AU12T]": f"{FACES}.aus has an unknown Action Unit 'AU12T', did you mean 'AU12'?",
    "adapter.targets.0=q": "adapter.targets must be a list such as [a, b], not {'0': 'q'}",
    # choices
    "text.order=image": "text.order has no choice 'image', did you mean 'image_first'?",
    "text.layout=chat": "text.layout has no choice 'chat', did you mean 'chat_template'?",
    "answer.form=named_list": "answer.form has no choice 'named_list', did you mean 'named'?",
    "projector.kind=liner": "projector.kind has no choice 'liner', did you mean 'linear'?",
    "llm.attention=spda": "llm.attention has no choice 'spda', did you mean 'sdpa'?",
    "trainer.precision=32": "trainer.precision has no choice '32', did you mean '32-true'?",
    "trainer.accelerator=cpus": "trainer.accelerator has no choice 'cpus', did you mean 'cpu'?",
    "trainer.weights=bets": "trainer.weights has no choice 'bets': write best, last or a validation's score "
    "such as val/bp4d/f1_macro",
    "trainer.weights=val/drawn_faces/f1_macro": "trainer.weights is 'val/drawn_faces/f1_macro', but there is "
    "one validation only: write trainer.val_every too",
    "strategy.name=dpp": "strategy.name has no choice 'dpp', did you mean 'ddp'?",
    f"{FACES}.options.coding=singel": f"{FACES}.options.coding has no choice 'singel', "
    "did you mean 'single'?",
    # types
    "trainer.max_steps=abc": "trainer.max_steps must be a whole number, not 'abc'",
    "trainer.max_steps=1.5": "trainer.max_steps must be a whole number, not 1.5",
    "trainer.max_steps=true": "trainer.max_steps must be a whole number, not True",
    "seed=null": "seed must be a whole number, not nothing",
    "trainer.val_every=often": "trainer.val_every must be a whole number or null, not 'often'",
    "optim.clip=[1]": "optim.clip must be a number, not [1]",
    "text.definitions=maybe": "text.definitions must be true or false, not 'maybe'",
    "experiment=no": "experiment must be text, not False",
    "adapter.targets=q_proj": "adapter.targets must be a list such as [a, b], not 'q_proj'",
    "adapter.targets=[a,null]": "adapter.targets must be a list such as [a, b], not ['a', None]",
    "optim=3": "optim is a section: give its keys, not 3",
    "data.datasets=[drawn_faces]": "data.datasets is a section: give its keys, not ['drawn_faces']",
    f"{FACES}.options.people=many": f"{FACES}.options.people must be a whole number, not 'many'",
    f"{FACES}.options.sides=left": f"{FACES}.options.sides must be a list such as [a, b], not 'left'",
    # limits
    "data.batch_size=0": "data.batch_size must be at least 1, not 0",
    "data.num_workers=-1": "data.num_workers must be at least 0, not -1",
    "data.flip=1.5": "data.flip must be at most 1, not 1.5",
    f"{FACES}.fold=0": f"{FACES}.fold must be at least 1, not 0",
    f"{FACES}.weight=0": f"{FACES}.weight must be above 0, not 0.0",
    f"{FACES}.aus=[]": f"{FACES}.aus is an empty list: name at least one",
    f"{FACES}.aus=[AU1,AU1]": f"{FACES}.aus names 'AU1' twice",
    "optim.lr_lora=-1e-3": "optim.lr_lora must be at least 0, not -0.001",
    "optim.lr_lora=nan": "optim.lr_lora must be a finite number, not nan",
    "optim.loss_weight.level=0": "optim.loss_weight.level must be above 0, not 0.0",
    "optim.loss_weight.levels=2": "unknown key 'optim.loss_weight.levels', did you mean 'level'?",
    "adapter.dropout=1": "adapter.dropout must be below 1, not 1.0",
    "trainer.val_samples=0": "trainer.val_samples must be at least 1, not 0",
    "experiment=../up": "experiment names a folder, so '../up' must be letters, digits, '.', '_', '-', "
    "no sign first",
    "strategy.devices=2": "strategy.devices is 2, but strategy 'single' uses one: write strategy=ddp",
    "strategy.name=fsdp2": "strategy 'fsdp2' needs several devices, strategy.devices is 1: "
    "write strategy=single",
    "strategy.nodes=2": "strategy.nodes is 2, but strategy 'single' uses one: write strategy=ddp",
    "decoding.method=parallel": "decoding.method 'parallel' is not for answers of one text "
    "(answer.independent): write auto",
    # the override itself
    "trainer.max_steps": "'trainer.max_steps' is not key=value, such as trainer.max_steps=100",
    "=1": "'=1' is not key=value, such as trainer.max_steps=100",
    "data=": "'data=' names no fragment: write data=NAME",
    "seed=[1": "the value of seed=[1 cannot be read: expected ',' or ']', but got '<stream end>'",
    "seed=${": "the value of seed=${ cannot be read: no viable alternative at input '${'",
    "runs_dir=${nope}": "runs_dir cannot be worked out: Interpolation key 'nope' not found",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_an_override_is_refused_in_one_line(run_file: Path, words: Vocabulary, override: str) -> None:
    assert _refusal(run_file, [override], words) == f"command line: {OVERRIDES[override]}"


@pytest.mark.parametrize(
    ("strategy", "override", "said"),
    [
        ("fsdp2", "trainer.precision=16-mixed", "trainer.precision 16-mixed and strategy 'fsdp2' do not go"),
        ("fsdp2", "llm.quantization=nf4", "llm.quantization and strategy 'fsdp2' do not go together"),
        ("fsdp2", "trainer.find_batch_size=true", "trainer.find_batch_size measures whole models"),
        ("fsdp", "trainer.val_every=3", "strategy 'fsdp' answers at the end only"),
        ("fsdp", "trainer.checkpoint=sharded", "strategy 'fsdp' cannot write trainer.checkpoint=sharded"),
        ("fsdp", "llm.dtype=bfloat16", "strategy 'fsdp' wants llm.dtype=float32 beside adapters"),
    ],
)
def test_what_a_sharing_strategy_cannot_do_is_refused(
    run_file: Path, words: Vocabulary, strategy: str, override: str, said: str
) -> None:
    shared = [f"strategy.name={strategy}", "strategy.devices=2", override]
    assert said in _refusal(run_file, shared, words)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("decoding.method=one_pass", "decoding.method 'one_pass' is not for independent answers"),
        ("answer.form=list", "answer.form 'list' does not name its Action Units: write named, or answer."),
        ("llm.attention=flash_attention_2", "flash_attention_2 takes no mask of branches"),
    ],
)
def test_what_does_not_go_with_independent_answers_is_refused(
    run_file: Path, words: Vocabulary, override: str, said: str
) -> None:
    assert said in _refusal(run_file, ["answer.independent=true", override], words)


def test_an_options_dataclass_has_the_last_word(run_file: Path, words: Vocabulary) -> None:
    message = _refusal(run_file, [f"{FACES}.options.people=1"], words)
    assert message == f"{FACES}.options: people must be at least 2, not 1"


def test_a_missing_option_says_which_key_to_set(run_file: Path, words: Vocabulary) -> None:
    message = _refusal(run_file, ["data.datasets.table_faces={}"], words)
    key = "data.datasets.table_faces.options.table"
    assert message == f"{key} has no value: write {key}=... (text)"


FILES = {
    "trainer:\n  max_steps: 1\n  max_stepz: 1\n": "x.yaml:3: unknown key 'trainer.max_stepz', "
    "did you mean 'max_steps'?",
    "seed: 1\noptim: {lr: 1}\n": "x.yaml:2: unknown key 'optim.lr', did you mean 'lr_projector'?",
    "data:\n  datasets:\n    drawn_fces:\n": "x.yaml:3: unknown dataset 'drawn_fces', "
    "did you mean 'drawn_faces'?",
    "seed:\n  - 1\n": "x.yaml:1: seed must be a whole number, not [1]",
    "\nseed: one\n": "x.yaml:2: seed must be a whole number, not 'one'",
    "seed: 1\nexperiment: yes\n": "x.yaml:2: experiment must be text, not True",
    "1: 2\n": f"x.yaml:1: unknown key '1', it can be {TOP}strategy, decoding, evaluation",
    "": "x.yaml: is empty: write at least one key, such as 'extends: [base]'",
    "# nothing\n": "x.yaml: is empty: write at least one key, such as 'extends: [base]'",
    "- a\n- b\n": "x.yaml:1: is no mapping: write keys as 'key: value'",
    "\nhello\n": "x.yaml:2: is no mapping: write keys as 'key: value'",
    "seed: 1\ntrainer: [1\n": "x.yaml:3: is not valid YAML here: expected ',' or ']', but got '<stream end>'",
    "seed: 1\n\tx: 2\n": "x.yaml:2: is not valid YAML here: found character '\\t' "
    "that cannot start any token",
    "seed: 1\nseed: 2\n": "x.yaml:2: is not valid YAML here: found duplicate key seed",
    "seed: 1\n---\nseed: 2\n": "x.yaml:2: is not valid YAML here: but found another document",
    "seed: 1\nruns_dir: ${\n": "x.yaml:2: cannot be read: no viable alternative at input '${'",
    "extends: {a: 1}\n": "x.yaml:1: extends must be a list of fragments, such as [base, data/synthetic]",
    "seed: 1\nextends: [1]\n": "x.yaml:2: extends must be a list of fragments, "
    "such as [base, data/synthetic]",
    "data: {datasets: {plain_faces: }}\n": "x.yaml: trainer.max_steps has no value: set it, or add "
    "trainer.max_steps=... (a whole number) behind the file",
    "trainer: {max_steps: 1}\n": "data.datasets names no dataset: extend a data/ fragment, "
    "or write data=NAME; there are drawn_faces, plain_faces, table_faces",
}


@pytest.mark.parametrize("text", FILES)
def test_a_file_is_refused_with_its_line(files: Files, words: Vocabulary, text: str) -> None:
    assert _refusal(files({"x": text}), [], words) == FILES[text]


def test_a_tag_in_a_file_never_runs_code(files: Files, words: Vocabulary, tmp_path: Path) -> None:
    text = "seed: 1\nruns_dir: !!python/object/apply:os.mkdir ['hacked']\n"
    message = _refusal(files({"x": text}), [], words)
    assert message.startswith(
        "x.yaml:2: is not valid YAML here: could not determine a constructor for the tag"
    )
    assert not (tmp_path / "hacked").exists()


def test_what_is_no_readable_file_is_named(files: Files, words: Vocabulary, tmp_path: Path) -> None:
    files({"demo": "seed: 1\n", "folder/inner": "seed: 1\n"})
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    assert (
        _refusal(Path("dmo.yaml"), [], words) == "dmo.yaml: there is no such file, did you mean 'demo.yaml'?"
    )
    assert _refusal(Path("demo"), [], words) == "demo: there is no such file, did you mean 'demo.yaml'?"
    hint = "cannot be read (no such file or directory): give a file like experiments/demo.yaml"
    assert _refusal(Path("no/where.yaml"), [], words) == f"no/where.yaml: {hint}"
    hint = "cannot be read (is a directory): give a file like experiments/demo.yaml"
    assert _refusal(Path("folder"), [], words) == f"folder: {hint}"
    assert (
        _refusal(Path("picture.png"), [], words)
        == "picture.png: is not UTF-8 text, so it is no experiment file"
    )


def test_a_value_from_below_is_refused_where_it_stands(files: Files, words: Vocabulary) -> None:
    """A limit is checked on the complete config, and still names the line of the fragment."""
    files({"base": "seed: 1\ndata:\n  batch_size: 0\n"})
    path = files({"x": "extends: base\ntrainer: {max_steps: 1}\ndata: {datasets: {plain_faces: }}\n"})
    assert _refusal(path, [], words) == "base.yaml:3: data.batch_size must be at least 1, not 0"
    assert resolve(path, ["data.batch_size=1"], words).config.data.batch_size == 1
