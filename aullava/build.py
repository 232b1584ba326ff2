"""From a config to the parts of a run. Reads as the story of what AU-LLaVA is."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from aullava.boards import board_callbacks
from aullava.config.changes import flat
from aullava.config.rules import SHARDED
from aullava.config.schema import Config, DatasetConfig, FacesConfig
from aullava.decoding.alone import Alone
from aullava.decoding.decoder import Decoder, Reference
from aullava.decoding.drafts import Reader
from aullava.decoding.one_pass import OnePass
from aullava.decoding.parallel import Parallel
from aullava.evaluation.choice import LAST
from aullava.launch import say_at_last
from aullava.models.adapters import add_lora
from aullava.models.errors import ModelError
from aullava.models.llava import split_llava
from aullava.models.llm import checkpoint_activations, load_llm, load_tokenizer
from aullava.models.projector import build_projector
from aullava.models.vision import GridEncoder, VisionEncoder, load_preprocessor, load_vision
from aullava.models.vlm import FaceLanguageModel
from aullava.text.collate import Collator
from aullava.text.errors import choose
from aullava.text.grammar import AnswerForm
from aullava.text.layout import Layout, frame_of
from aullava.text.question import Order, QuestionStyle
from aullava.training.callbacks.answers import SampleAnswers
from aullava.training.callbacks.checkpoints import SaveCheckpoints
from aullava.training.callbacks.collapse import AnswerCollapse
from aullava.training.callbacks.guards import FiniteSteps, GradientCoverage
from aullava.training.callbacks.progress import StepProgress
from aullava.training.callbacks.throughput import Throughput
from aullava.training.callbacks.watchdog import Watchdog
from aullava.training.compiled import compile_blocks
from aullava.training.module import Asked, AULightningModule
from aullava.training.run_folder import EVENTS
from aullava.training.strategies import build_strategy, precision_plugin
from datamodules import registry
from datamodules.action_units import Scale
from datamodules.base import AUDataModule
from datamodules.faces import FaceSettings
from datamodules.formats import own_thresholds
from datamodules.mixture import Mixture
from datamodules.options import DatasetSettings, LoaderSettings, MixtureSettings

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# What Lightning says at every start and no user of ours can act upon.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=r".*in eval mode at the start of training")  # the frozen parts
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
warnings.filterwarnings("ignore", message=r".*, sync_dist=True\)`")  # scores are those of all processes
# 0 workers is the fastest for drawn faces.
warnings.filterwarnings("ignore", message=r".*does not have many workers")


def build_model(config: Config) -> FaceLanguageModel:
    """Frozen encoder, projector, frozen language model, and the adapters on them; in training mode."""
    vision, projector, aligned, llm = _parts(config)
    adapter = config.adapter
    adapted: PreTrainedModel | PeftModel = llm
    if adapter.kind != "none":
        sizes = adapter.r, adapter.alpha, adapter.dropout
        adapted = add_lora(llm, *sizes, adapter.targets, adapter.kind)
        if adapter.vision_targets:
            if isinstance(vision, GridEncoder):
                raise ModelError("adapter.vision_targets: a convolutional encoder takes none: write null")
            key, tower = "adapter.vision_targets", cast("PreTrainedModel", vision.model)
            vision.model = add_lora(tower, *sizes, adapter.vision_targets, adapter.kind, key)
    model = FaceLanguageModel(vision, projector, adapted, aligned).eval()
    if config.answer.independent:
        model.check_branches()
    if config.llm.gradient_checkpointing:
        checkpoint_activations(llm)
    if config.trainer.compile:
        compile_blocks(model)
    return model.train()  # transformers loads in eval mode, in which nothing is recomputed


def _parts(config: Config) -> tuple[VisionEncoder, nn.Module, bool, PreTrainedModel]:
    """Encoder, projector, whether that is trained already, language model."""
    vision, llm, kind = config.vision, config.llm, config.projector.kind
    if llm.init_from is not None:
        if llm.quantization != "none":
            raise ModelError("llm.quantization goes with llm.name: leave out llm.init_from, or write none")
        dtypes = DTYPES[vision.dtype], DTYPES[llm.dtype]
        parts = split_llava(llm.init_from, vision.layers, vision.tokens, kind, llm.attention, dtypes)
        return parts.vision, parts.projector, parts.aligned, parts.llm
    encoder = load_vision(vision.name, vision.layers, DTYPES[vision.dtype], vision.tokens)
    language = load_llm(llm.name, llm.attention, DTYPES[llm.dtype], llm.quantization)
    return encoder, build_projector(kind, encoder.dim, language.config.hidden_size), False, language


def build_collator(config: Config, model: FaceLanguageModel) -> Collator:
    """What turns samples into questions and answers for this model."""
    tokenizer = load_tokenizer(config.llm.init_from or config.llm.name)
    style = QuestionStyle(
        order=choose(Order, config.text.order, "text.order"),
        definitions=config.text.definitions,
        frame=frame_of(choose(Layout, config.text.layout, "text.layout"), tokenizer),
    )
    return Collator(
        tokenizer,
        style,
        choose(AnswerForm, config.answer.form, "answer.form"),
        model.vision.num_tokens,
        load_preprocessor(config.llm.init_from or config.vision.name),
        config.llm.max_length or model.context_length,
        config.answer.independent,
    )


def face_settings(faces: FacesConfig) -> FaceSettings | None:
    """How faces are cut out while pictures are read; None: not at all."""
    if faces.align == "whole":
        return None
    return FaceSettings(faces.size, faces.align, faces.margin, faces.min_score, faces.detector)


def build_dataset(name: str, dataset: DatasetConfig, loading: LoaderSettings) -> AUDataModule:
    """One registered dataset."""
    options = registry.option_types()[name]
    settings = DatasetSettings(
        root=None if dataset.root is None else Path(dataset.root).expanduser(),
        aus=None if dataset.aus is None else tuple(dataset.aus),
        protocol=dataset.protocol,
        fold=dataset.fold,
        weight=dataset.weight,
        options=None if options is None else options(**dataset.options),
        prepared=None if dataset.prepared is None else Path(dataset.prepared).expanduser(),
        strict=dataset.strict,
        faces=face_settings(dataset.faces),
        formats=None if dataset.formats is None else tuple(Scale(word) for word in dataset.formats),
    )
    module: AUDataModule = registry.load(name)(settings, loading)
    if dataset.log_images is not None:
        module.log_images = dataset.log_images
    return module


def build_data(config: Config) -> Mixture:
    """The datasets of a run."""
    loading = LoaderSettings(
        batch_size=config.data.batch_size,
        eval_batch_size=config.data.eval_batch_size,
        num_workers=config.data.num_workers,
        flip=config.data.flip,
        seed=config.seed,
        val_samples=config.trainer.val_samples,
        test_samples=config.evaluation.test_samples,
    )
    mixing = MixtureSettings(
        config.data.temperature, config.data.balance, config.data.shared_people, config.data.shared_image
    )
    datasets = [build_dataset(name, one, loading) for name, one in config.data.datasets.items()]
    return Mixture(datasets, loading, mixing)


def build_decoder(
    config: Config, model: FaceLanguageModel, collator: Collator, reader: Reader | None = None
) -> Decoder:
    """What writes the answers of this model; `reader` guesses them from features."""
    if config.decoding.method == "generate":
        return (Alone if config.answer.independent else Reference)(model, collator)
    return build_fast_decoder(config, model, collator, reader)


def build_fast_decoder(
    config: Config, model: FaceLanguageModel, collator: Collator, reader: Reader | None = None
) -> OnePass:
    """What answers this model's questions in about one pass, whatever `decoding.method` says."""
    if config.answer.independent:
        return Parallel(model, collator)
    return OnePass(model, collator, reader, exact=config.decoding.exact)


def build_module(
    config: Config,
    model: FaceLanguageModel,
    collator: Collator,
    data: Mixture,
    reader: Reader | None = None,
) -> AULightningModule:
    """Model, questions and optimiser as one Lightning module; the data learn how to make batches."""
    data.connect(collator, collator.prompts)
    asked = [
        Asked(member.name, member.asked_aus, member.coded_scale(), own_thresholds(member))
        for member in data.members
    ]
    decoder = build_decoder(config, model, collator, reader)
    expectation = config.decoding.intensity == "expectation"
    return AULightningModule(
        model, collator, asked, config.optim, config.trainer.max_steps, decoder, expectation
    )


def build_trainer(
    config: Config,
    run: Path,
    model: FaceLanguageModel,
    callbacks: list[Callback] | None = None,
    done: int | None = None,
) -> Trainer:
    """Lightning's trainer for a run folder.

    Args:
        config: of the run.
        run: its folder.
        model: whose weights a strategy may share out.
        callbacks: what runs beside the steps; None: it trains nothing, and a sharing strategy is not needed.
        done: steps of a run that goes on; what TensorBoard has of later ones is hidden.
    """
    settings, strategy = config.trainer, config.strategy
    if callbacks is None and strategy.name in SHARDED:
        strategy = replace(strategy, name="ddp")
    plugins: list[Any] = [TorchElasticEnvironment()] if strategy.devices * strategy.nodes > 1 else []
    arithmetic = precision_plugin(settings.precision, strategy.name)
    val_every = min(settings.val_every or settings.max_steps, settings.max_steps)  # at the latest at the end
    return Trainer(
        default_root_dir=run,
        accelerator=settings.accelerator,
        devices=strategy.devices,
        num_nodes=strategy.nodes,
        strategy=build_strategy(strategy, model),
        plugins=plugins if arithmetic is None else [*plugins, arithmetic],
        precision=settings.precision if arithmetic is None else None,  # type: ignore[arg-type]  # of the schema
        max_steps=settings.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=config.optim.clip or None,
        val_check_interval=val_every * settings.accumulate,
        check_val_every_n_epoch=None,
        log_every_n_steps=settings.log_every,
        limit_val_batches=0 if strategy.name == "fsdp" else None,  # it cannot answer between steps
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=TensorBoardLogger(run, name=EVENTS, version="", purge_step=done),
        callbacks=callbacks or [],
    )


def chosen_by(config: Config) -> str:
    """What a run chooses its weights by: with one validation there is nothing to choose."""
    return LAST if config.trainer.val_every is None else config.trainer.weights


def training_callbacks(
    config: Config,
    run: Path,
    data: str,
    images: int,
    seconds: float = 0.0,
) -> list[Callback]:
    """What runs beside the steps of a fit.

    Args:
        config: of the run.
        run: its folder.
        data: fingerprint of its data.
        images: of a batch, those of all processes together.
        seconds: time that training has taken before.
    """
    return [
        StepProgress(refresh_rate=10),
        LearningRateMonitor("step"),
        Throughput(),
        SampleAnswers(),
        *board_callbacks(),
        *([] if config.strategy.name == "fsdp" else [GradientCoverage()]),  # its gradients lie in pieces
        FiniteSteps(),
        AnswerCollapse(),
        Watchdog(config.trainer.stuck_after, say_at_last),
        SaveCheckpoints(
            run,
            config.trainer.save_every,
            flat(config),
            data,
            images,
            seconds,
            chosen_by(config),
            config.trainer.checkpoint == "sharded",
        ),
    ]
