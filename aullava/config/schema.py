"""Every key of a run with its type, default, unit and reason. Defaults stand here and nowhere else.

OmegaConf reads these dataclasses as a schema: a key that is not here does not exist. The limits beside a
default are checked by `aullava.config.limits`. The words of `choice` are the values of the enums of the
rooms they belong to (named at each field); this room imports none of them, a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from aullava.config.limits import choice, folder_name, number, some_of


@dataclass
class FacesConfig:
    """Cutting the face out of each picture while it is read (`datamodules.faces`)."""

    align: str = choice("whole", "box", "five_points")
    """whole: the picture as it is. box: the detected face with a margin. five_points: turned and scaled so
    that eyes, nose and mouth lie where they lie in every face. Not used with a prepared store."""
    size: int = number(224, low=16, high=2048)
    """Side of the square in pixels."""
    margin: float = number(0.25, low=0, high=2)
    """Added on every side, as a share of the face's box."""
    min_score: float = number(0.6, low=0, high=1)
    """Detections below this confidence are no faces."""
    detector: str = "yunet"
    """yunet, or the name of a detector that another installed package brings."""


@dataclass
class DatasetConfig:
    """One dataset of a run, below ``data.datasets.<name>``; the names are those of `aullava datasets`."""

    root: str | None = None
    """Folder that holds the dataset on this machine; null for a dataset that draws its own faces."""
    aus: list[str] | None = None
    """The Action Units to learn and score, FACS codes such as AU12 or AU12L; null: all the dataset codes."""
    protocol: str | None = None
    """Name of the split of people into train, validation and test; null: the dataset's standard one."""
    fold: int = number(1, low=1)
    """Which fold of the protocol is tested, counted from 1 as the papers do."""
    weight: float = number(1.0, above=0)
    """Share of the training samples drawn from this dataset, relative to the other weights."""
    formats: list[str] | None = field(default=None, metadata=some_of("presence", "level", "intensity"))
    """Answer formats in which each of its faces is asked, in training and evaluation; null: the scale of its
    labels. presence is derived from levels and intensities by the dataset's rule. Values of
    `datamodules.action_units.Scale`."""
    prepared: str | None = None
    """Store of face crops that `aullava prepare` has written: read instead of the original pictures."""
    faces: FacesConfig = field(default_factory=FacesConfig)
    strict: bool = False
    """Stop at the first finding (a labelled frame without picture, ...); false: leave it out, report it."""
    log_images: bool | None = None
    """Show its faces in TensorBoard and reports; null: as the dataset says, which is no where a licence is
    asked for. Who sets true has looked the licence up."""
    options: dict[str, Any] = field(default_factory=dict)
    """What only this dataset knows: the fields of its options dataclass; `aullava config` shows them all."""


@dataclass
class DataConfig:
    """Which faces, and how they are fed."""

    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    """The datasets of one unified model, by name; at least one."""
    batch_size: int = number(32, low=1)
    """Images of one training step on one device."""
    eval_batch_size: int = number(64, low=1)
    """Images decoded at once in validation, test and predict; changes speed and memory, not answers."""
    num_workers: int = number(0, low=0)
    """Loader processes per device; 0 reads in the main process, the fastest for faces drawn in memory."""
    flip: float = number(0.5, low=0, high=1)
    """Probability of a horizontal mirror in training; left and right labels change places with it."""
    temperature: float | None = number(None, above=0)
    """Shares of the datasets in training: their weights times size ** (1 / temperature). 1: by size, larger:
    the small ones more often; null: the weights alone, whatever the sizes."""
    balance: str = choice("none", "rare")
    """rare: faces with rare Action Units come more often in training, by inverse frequency."""
    shared_people: str = choice("refuse", "leave_out")
    """When two datasets show one person in different parts (DISFA and DISFA+): refuse the mixture, or leave
    whoever is tested elsewhere out of training and validation."""
    shared_image: bool = True
    """Of a dataset with several `formats`, a batch asks all of them about its `batch_size` faces, and each
    image is encoded and read once. false: a batch asks one of them."""


@dataclass
class TextConfig:
    """How the question is put (`aullava.text.question`)."""

    order: str = choice("definitions_first", "image_first", "question_first")
    """What comes first. definitions_first lets one image be asked in several formats from one prefix;
    image_first is LLaVA's order. Values of `aullava.text.question.Order`."""
    definitions: bool = True
    """Write the one-sentence FACS definition of every Action Unit asked; false lists the codes only."""
    layout: str = choice("plain", "llava_v1", "chat_template")
    """Frame around question and answer: none, that of LLaVA-1.5 and Vicuna v1, or the tokenizer's own chat
    template. Values of `aullava.text.layout.Layout`."""


@dataclass
class AnswerConfig:
    """How the answer is written (`aullava.text.grammar`)."""

    form: str = choice("named", "list", "compact")
    """named: ``AU1: 0, AU2: 1``. list: ``[0, 1]``. compact: ``[0,1]``, and intensities as two digits
    (``[35,07]``; 1.00 becomes 0.99). Values of `aullava.text.grammar.AnswerForm`."""
    independent: bool = False
    """Each Action Unit is answered by itself, in one masked pass with the others and without seeing their
    answers; its probability is then a marginal one. false: one text, read from left to right."""


@dataclass
class VisionConfig:
    """The frozen vision encoder."""

    name: str = "tiny"
    """tiny: the encoder shipped with the package; otherwise a local Hugging Face folder or a hub id
    (OWNER/NAME or OWNER/NAME@REVISION) of a CLIP, SigLIP, SigLIP 2 of a fixed resolution, or DINOv2."""
    layers: list[int] = field(default_factory=lambda: [-1])
    """Hidden states that become the image tokens: [-1] the last, [-2] LLaVA-1.5's; of several, a token holds
    all. Layers above them do not run."""
    tokens: str = choice("patches", "all")
    """patches: class and register tokens are left out, as LLaVA-1.5 does. all: they are image tokens too.
    Values of `aullava.models.vision.TOKENS`."""
    dtype: str = choice("float32", "bfloat16", "float16")
    """Of the frozen weights."""
    cache_dir: str | None = None
    """Folder in which the features of all training faces are kept, encoded once and mapped from disk by every
    run with the same encoder and faces; null: encoded at every step. Not used while data.flip mirrors faces.
    `aullava config FILE --memory` says what it takes and saves."""


@dataclass
class ProjectorConfig:
    """The trained bridge from image features to word embeddings."""

    kind: str = choice("linear", "mlp")
    """linear: one linear layer, as AU-LLaVA. mlp: linear, GELU, linear, as LLaVA-1.5."""
    align: bool = False
    """Begin with a reading of the Action Units in closed form (`aullava.alignment`). Made for the tiny LLM,
    which knows its words; holds 8 bytes x patches x features ** 2 (0.3 GB for tiny, 5 GB for CLIP ViT-L)."""


@dataclass
class LlmConfig:
    """The frozen language model."""

    name: str = "tiny"
    """tiny: the model shipped with the package; otherwise a local Hugging Face folder or a hub id of a causal
    language model (LLaMA, Vicuna, Qwen, SmolLM, Phi, ...)."""
    init_from: str | None = None
    """A LLaVA (LlavaForConditionalGeneration), as folder or hub id: its vision tower, its language model and,
    with projector.kind=mlp, its projector; instead of vision.name and llm.name."""
    dtype: str = choice("float32", "bfloat16", "float16")
    """Of the frozen weights."""
    quantization: str = choice("none", "nf4")
    """nf4: the frozen weights in 4 bits (QLoRA); needs the extra qlora and a CUDA device."""
    gradient_checkpointing: bool = False
    """Compute the inside of each block again in the backward pass: far less memory, about 1.4 times the time
    of a step."""
    attention: str = choice("sdpa", "eager", "flash_attention_2", "flex_attention")
    """Attention kernel, in transformers' words. flex_attention does not compute what questions that share an
    image may not see of each other; it learns on a CUDA device only."""
    max_length: int | None = number(None, low=1)
    """Longest sequence in tokens, image tokens included; null: the model's own context."""


@dataclass
class AdapterConfig:
    """What is trained on the language model, and if asked for on the vision encoder (PEFT's `LoraConfig`)."""

    kind: str = choice("lora", "rslora", "dora", "none")
    """lora: Hu et al. 2021. rslora: scaled by alpha / sqrt(r), for high ranks. dora: also learns the size of
    the weights. none: only the projector is trained. Values of `aullava.models.adapters.ADAPTERS`."""
    r: int = number(16, low=1)
    """Rank of the update."""
    alpha: int = number(32, low=1)
    """Scale: the update is multiplied by alpha / r."""
    dropout: float = number(0.0, low=0, below=1)
    """Dropout before the update, as a probability."""
    targets: list[str] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    """Linear layers that get an update, by the end of their names; the default is all of a LLaMA block.
    [all-linear]: every linear layer but the head, whatever the model calls them."""
    vision_targets: list[str] | None = None
    """The same of the vision encoder, with the same kind, rank and rate; null: it stays frozen. Of a CLIP or
    SigLIP for instance [q_proj, v_proj], of a DINOv2 [query, value]."""


@dataclass
class LossWeightConfig:
    """What the loss of each answer format is multiplied by; ``train/loss`` is logged without it.

    A batch is of one dataset, and AdamW divides the gradients of all of them by one mean size, so the format
    with the smallest gradients learns slowest. A weight gives it larger steps, and the others smaller ones: a
    factor that all have in common AdamW undoes, so only ratios count. Gradients are clipped afterwards.
    """

    presence: float = number(1.0, above=0)
    """Of present or absent."""
    level: float = number(1.0, above=0)
    """Of levels 0 to 5."""
    intensity: float = number(1.0, above=0)
    """Of intensities in [0, 1]."""


@dataclass
class OptimConfig:
    """AdamW with a linear warm-up and a cosine decay."""

    lr_projector: float = number(1e-3, low=0)
    """Peak learning rate of the projector; 1e-3 is LLaVA-1.5's for it."""
    lr_lora: float = number(1e-3, low=0)
    """Peak learning rate of the LoRA weights; suits the shipped tiny model, large ones take about 1e-4."""
    weight_decay: float = number(0.0, low=0)
    """AdamW's decoupled weight decay."""
    warmup: float = number(0.03, low=0, high=1)
    """Share of all steps over which the rates rise from 0; 3 % as LLaVA."""
    min_lr: float = number(0.0, low=0, high=1)
    """Where the cosine ends, as a share of the peak."""
    clip: float = number(1.0, low=0)
    """Largest gradient norm, larger ones are scaled down to it; 0: no clipping."""
    loss_weight: LossWeightConfig = field(default_factory=LossWeightConfig)


@dataclass
class TrainerConfig:
    """How long and on what (Lightning's Trainer)."""

    max_steps: int = number(MISSING, low=1)
    """Optimiser steps of the run. No default: it decides cost and result, so every experiment says it."""
    accumulate: int = number(1, low=1)
    """Batches whose gradients are summed up for one step."""
    precision: str = choice("32-true", "bf16-mixed", "16-mixed", "bf16-true")
    """Arithmetic, in Lightning's words. Trained weights stay fp32, but for bf16-true, which has all in bf16:
    the least memory and the coarsest steps. For the frozen weights alone: vision.dtype and llm.dtype."""
    compile: bool = False
    """torch.compile of the language model's blocks while training: minutes at the start, for the steps that
    follow. Needs a C++ compiler on a CPU, Triton on a GPU."""
    accelerator: str = choice("auto", "cpu", "gpu", "cuda", "mps")
    """Kind of device, in Lightning's words."""
    val_every: int | None = number(None, low=1)
    """Steps between validations; null: once, at the end."""
    val_samples: int | None = number(None, low=1)
    """Images of each dataset used in a validation; null: all."""
    weights: str = "best"
    """Which weights a run reports and is asked with. best: those of the validation with the best mean, over
    the datasets, of F1 (presence, levels) and ICC(3,1) (intensities). A score such as val/bp4d/f1_macro: the
    best by that one. last: those of the last step, which is all there is without val_every."""
    save_every: int = number(200, low=1)
    """Steps between two checkpoints to resume from; each validation, the end and a signal to stop bring one
    too."""
    checkpoint: str = choice("whole", "sharded")
    """whole: one file, for which the first process gathers weights and moments. sharded: every process writes
    what it holds and nothing is gathered; all machines must share runs_dir. Any number of processes resumes
    from either. last.safetensors is one whole file anyway; sharded writes it after validations and at the
    end."""
    log_every: int = number(10, low=1)
    """Steps between two points in TensorBoard."""
    find_batch_size: bool = False
    """Take the largest batch that fits into memory, and accumulate so many that a step keeps its
    data.batch_size x accumulate images. The saved config holds what was found."""
    stuck_after: int = number(1800, low=1)
    """Seconds without a finished batch after which the run ends and says where each process stands."""


@dataclass
class StrategyConfig:
    """How many devices, and how they share the work."""

    name: str = choice("single", "ddp", "fsdp2", "fsdp")
    """single: one device. ddp: a copy of the model on each device, gradients added up. fsdp2: the weights are
    shared out among the devices and brought together block by block, for models that are too large for one.
    fsdp: the same by PyTorch's older engine, on GPUs only. Values of `aullava.training.strategies`."""
    devices: int = number(1, low=1)
    """Devices (or CPU processes) used at the same time on each machine."""
    nodes: int = number(1, low=1)
    """Machines; with several, torchrun or srun starts the processes (docs/scaling_out.md)."""


@dataclass
class DecodingConfig:
    """How answers are read off the model; none of it changes what is trained."""

    method: str = choice("auto", "one_pass", "parallel", "generate")
    """one_pass: the answer is drafted and verified, in about one pass. parallel: independent answers, all in
    one pass. auto: whichever of the two answer.independent asks for. generate: token by token, of independent
    answers one Action Unit at a time: the reference, which writes the same answers slowly."""
    exact: bool = False
    """Of intensities in an answer that is one text, read the exact distribution over all values by one more
    pass; false: the hundredths count as independent of the tenths. Independent answers have it anyway."""
    intensity: str = choice("expectation", "mode")
    """What counts as the answer to a question about intensities. expectation: the mean of the distribution
    over its digits. mode: the number that is written. Levels and presence are always what is written."""


@dataclass
class EvaluationConfig:
    """What the scores are set beside."""

    baselines: bool = True
    """Also score a linear probe on the same frozen features, and the constant answers."""
    test_samples: int | None = number(None, low=1)
    """Images of each dataset used in a test; null: all."""


@dataclass
class Config:
    """One run."""

    experiment: str = folder_name("experiment")
    """Name of the run's folder below runs_dir."""
    seed: int = number(0, low=0, high=2**32 - 1)
    """Seed of everything random; the range is NumPy's."""
    runs_dir: str = "runs"
    """Folder in which every run gets a new numbered folder: <runs_dir>/<experiment>/<n>."""
    init_from_run: str | None = None
    """Folder of an earlier run whose trained weights this one begins with: a projector trained alone
    (adapter.kind=none), then the same projector with an adapter."""
    data: DataConfig = field(default_factory=DataConfig)
    text: TextConfig = field(default_factory=TextConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    llm: LlmConfig = field(default_factory=LlmConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


@dataclass(frozen=True)
class Vocabulary:
    """The words that other rooms own, handed in so that this room imports none of them.

    Attributes:
        datasets: registered dataset name -> its options dataclass, None for a dataset without options.
        action_units: every FACS code of the vocabulary.
    """

    datasets: Mapping[str, type | None]
    action_units: Collection[str]
