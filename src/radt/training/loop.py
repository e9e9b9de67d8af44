"""The training loop of every method: AdamW, learning rate schedule, gradient clipping, checkpoints, metrics."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from tqdm import tqdm

from radt import devices, seeding
from radt.data.steps import Steps
from radt.errors import RadtError
from radt.interruption import STATUS, interruption
from radt.machine import rank, threads, world_size
from radt.models.actions import Head
from radt.models.blocks import Block
from radt.pipeline.progress import Reporter
from radt.settings.models import Optimization
from radt.training import checkpoints, ranks

COLUMNS = ("model", "seed", "update", "loss", "accuracy", "learning_rate", "gradient_norm", "parameters", "cpu_seconds")


class Loss(NamedTuple):
    """Loss on a batch, or on a rank's rows of it; all are scalars."""

    mean: Tensor
    """mean loss over all real steps"""
    accuracy: Tensor
    """share of real steps whose action was predicted"""
    steps: Tensor
    """number of real steps"""


def learning_rate(update: int, settings: Optimization) -> float:
    """Learning rate of update 0, 1, ...: linear warm-up over `warmup` updates, then cosine decay to `learning_rate_last`."""
    if update < settings.warmup:
        return settings.learning_rate * (update + 1) / settings.warmup
    progress = (update - settings.warmup) / max(1, settings.updates - 1 - settings.warmup)
    span = settings.learning_rate - settings.learning_rate_last
    return settings.learning_rate_last + span * (1 + math.cos(math.pi * progress)) / 2


def action_loss(head: Head, outputs: Tensor, steps: Steps) -> Loss:
    """Loss of the actions of [B, T] steps, from outputs of the head [B, T, O]; padding is left out."""
    real = steps.mask
    return Loss(*head.loss(outputs[real], steps.action[real]), real.sum())


def optimizer_of(model: nn.Module, settings: Optimization) -> torch.optim.AdamW:
    """AdamW; only weights of linear layers have weight decay, as published."""
    decayed = [part.weight for part in model.modules() if isinstance(part, nn.Linear)]
    chosen = {id(weight) for weight in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


class Watch:
    """Ends a training whose numbers are not finite, with a `RadtError` that names the update.

    Losses and gradients are checked after every update; on a GPU only when metrics or a checkpoint are due, because a check makes
    the CPU wait. Weights and optimizer state are checked before a checkpoint is written.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: Optimization):
        self._model, self._optimizer, self._settings = model, optimizer, settings
        self._unseen: list[Tensor] = []

    def see(self, done: int, loss: Tensor, norm: Tensor, logged: bool, kept: bool) -> None:
        """Check loss and gradient norm of update `done`; `logged` and `kept`: its metrics or its checkpoint are due."""
        self._unseen += [loss.detach(), norm]
        if logged or kept or loss.device.type == "cpu":
            wrong = ~torch.stack(self._unseen).view(-1, 2).isfinite().all(1)
            self._unseen.clear()
            if bool(wrong.any()):
                self._end(done - len(wrong) + 1 + int(wrong.int().argmax()), "the loss or the gradient")
        if kept and not all(bool(tensor.isfinite().all()) for tensor in self._state()):
            self._end(done, "a weight or what the optimizer remembers")

    def _state(self) -> Iterator[Tensor]:
        """All tensors of a checkpoint."""
        yield from self._model.state_dict().values()
        for slots in self._optimizer.state.values():
            yield from (value for value in slots.values() if isinstance(value, Tensor))

    def _end(self, update: int, what: str) -> NoReturn:
        settings = self._settings
        raise RadtError(
            f"update {update} of {settings.updates}: {what} is not finite: lower learning_rate ({settings.learning_rate:g}) or"
            f" gradient_clip ({settings.gradient_clip:g}) of its optimization and run again; an earlier result stays as it was"
        )


def train(
    name: str,
    seed: int,
    model: nn.Module,
    batch_loss: Callable[[int], Loss],
    settings: Optimization,
    state: Path,
    identity: str,
) -> str:
    """Train `model` in place and return the text of `metrics.csv`: values of whole batches, CPU time of all ranks.

    A batch is a pure function of the update's number. So an interrupted run resumes from its last checkpoint and reaches the same
    weights, bit for bit on a CPU. On a signal, the training finishes its update, writes a checkpoint and raises
    `KeyboardInterrupt`.

    Raises `RadtError` when a number is not finite (`Watch`); the last checkpoint is finite.

    Args:
        name: model name in the metrics.
        seed: seed in the metrics; seeds dropout.
        model: network on its device.
        batch_loss: from the number of an update to the loss of this rank's rows.
        settings: optimisation.
        state: folder of the checkpoint; the first rank writes it.
        identity: hash of settings, seed, code and inputs; a checkpoint of another identity is ignored.
    """
    interruption.defer()
    optimizer = optimizer_of(model, settings)
    restored = checkpoints.restore(state, identity, model, optimizer, settings.updates)
    if settings.compile:
        compile_blocks(model)
    rows, begin, spent = restored.rows, restored.update, restored.cpu_seconds
    parameters = sum(parameter.numel() for parameter in model.parameters())
    dropout = f"{name} dropout" + (f" {rank()}" if rank() else "")
    started = time.process_time()
    hidden = True if rank() else None  # None: hidden without a terminal
    bar = tqdm(desc=f"{name} seed {seed}", total=settings.updates, initial=begin, unit="update", mininterval=1, disable=hidden)
    report = Reporter(state, begin, settings.updates, settings.log_every, lines=bool(bar.disable))
    model.train()
    watch = Watch(model, optimizer, settings)
    for update in range(begin, settings.updates):
        rate = learning_rate(update, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        seeding.seed_torch(seed, dropout, update)
        loss, accuracy, steps = batch_loss(update)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        requested = interruption.requested
        if world_size() > 1:
            loss, accuracy, requested = ranks.combine(model.parameters(), loss, accuracy, steps, requested)
        norm = nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        bar.update()
        done = update + 1
        logged = done % settings.log_every == 0 or done == settings.updates
        kept = done % settings.checkpoint_every == 0 or done == settings.updates or requested
        watch.see(done, loss, norm, logged, kept)
        if logged:
            cpu = spent + ranks.total(time.process_time() - started)
            values = (name, seed, done, f"{loss.item():.5f}", f"{accuracy.item():.5f}", f"{rate:.3e}", f"{float(norm):.4f}")
            rows.append([str(value) for value in (*values, parameters, f"{cpu:.1f}")])
            report(done, loss.item())
        if kept and done < settings.updates:
            cpu = spent + ranks.total(time.process_time() - started)
            if not rank():
                checkpoints.save(state, identity, checkpoints.State(done, cpu, rows), model, optimizer)
        if requested and done < settings.updates:
            bar.close()
            ranks.leave()
            stop(done, settings.updates)
    bar.close()
    ranks.leave()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def stop(done: int, updates: int) -> NoReturn:
    """End this process after update `done`, with a message from the first rank."""
    if rank():
        raise SystemExit(STATUS)
    raise KeyboardInterrupt(f"interrupted at update {done} of {updates}; run again: goes on from update {done}")


def prepare(device: str) -> str:
    """Set the number of threads (`OMP_NUM_THREADS`, else 1), connect to the other ranks and take a GPU.

    Returns `cpu` or `cuda` for a `device` of the settings. Raises `RadtError` for `cuda` without a GPU.
    """
    torch.set_num_threads(threads())
    chosen = devices.choose(device)
    ranks.join(chosen)
    return chosen


def prepare_training(settings: Optimization) -> str:
    """`prepare` for a training, and switch TF32 on or off on a GPU.

    Returns `cpu` or `cuda`. Raises `RadtError` without the GPU, the number of ranks or the compiler that the settings need.
    """
    if settings.ranks != world_size():
        raise RadtError(
            f"`ranks` is {settings.ranks}, but the number of processes that train is {world_size()}: put `python -m"
            f" radt.training.torchrun {settings.ranks}` before the command, as snakemake does"
        )
    if settings.compile:
        check_compiler()
    chosen = prepare(settings.device)
    if chosen == "cuda":  # not on a CPU, where oneDNN may use TF32, too
        torch.set_float32_matmul_precision("high" if settings.precision == "tfloat32" else "highest")
    return chosen


def check_compiler() -> None:
    """Raise `RadtError` without a C++ compiler, which `compile_blocks` needs."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise RadtError(
            f"`compile` needs the C++ compiler {compiler}, which is not there: install g++, or set `compile` to false"
        )


def compile_blocks(model: nn.Module) -> None:
    """Have every block of `model` compiled at its first call, in place: names of weights stay.

    Blocks share compiled code. It is static in shape, because the batches of a training have only one or two shapes.
    """
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads()))  # torch would start a process for each core
    for part in model.modules():
        if isinstance(part, Block):
            part.compile(dynamic=False)


def autocast(settings: Optimization, device: str) -> torch.autocast:
    """Autocast on a device, in the precision of the settings."""
    return torch.autocast(device, torch.bfloat16, enabled=settings.precision == "bfloat16")
