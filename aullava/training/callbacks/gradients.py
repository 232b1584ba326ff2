"""How large the gradients are before they are clipped, and how much memory the process takes."""

from __future__ import annotations

import resource
import sys

import torch
from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer


class GradientNorms(Callback):
    """Logs the norm of each parameter group's gradient, before clipping, and of all together."""

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Look at the gradients of a step that is written down."""
        if trainer.logger is None or (trainer.global_step + 1) % every(trainer):
            return
        norms = {}
        for group in optimizer.param_groups:
            gradients = [one.grad for one in group["params"] if one.grad is not None]
            if gradients:
                norms[group.get("name", "all")] = torch.nn.utils.get_total_norm(gradients)
        found = {f"gradients/{name}": float(norm) for name, norm in norms.items()}
        found["gradients/total"] = sum(norm**2 for norm in found.values()) ** 0.5
        trainer.logger.log_metrics(found, step=trainer.global_step)


class Memory(Callback):
    """Logs the largest memory so far: of the process and, if there is one, of the GPU, in MB."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Look now and then."""
        if trainer.logger is None or trainer.global_step % every(trainer):
            return
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of ru_maxrss: bytes there, kilobytes here
        found = {"memory/process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
        if torch.cuda.is_available():
            found["memory/gpu_mb"] = torch.cuda.max_memory_allocated() / (1 << 20)
        trainer.logger.log_metrics(found, step=trainer.global_step)


def every(trainer: Trainer) -> int:
    """Steps between two points in TensorBoard."""
    steps: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a helper of its own
    return max(1, steps)
