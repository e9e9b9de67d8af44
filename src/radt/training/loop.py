"""The training loop of every method: AdamW, warm-up and cosine, clipping, checkpoints, metrics."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from radt import seeding
from radt.data.steps import Steps
from radt.errors import RadtError
from radt.machine import threads
from radt.settings import Optimization
from radt.training import checkpoints

COLUMNS = ("model", "seed", "update", "loss", "accuracy", "learning_rate", "gradient_norm", "parameters", "cpu_seconds")


def learning_rate(update: int, settings: Optimization) -> float:
    """Learning rate of update 0, 1, ...: a straight rise over `warmup` updates, then a cosine to `learning_rate_last`."""
    if update < settings.warmup:
        return settings.learning_rate * (update + 1) / settings.warmup
    progress = (update - settings.warmup) / max(1, settings.updates - 1 - settings.warmup)
    span = settings.learning_rate - settings.learning_rate_last
    return settings.learning_rate_last + span * (1 + math.cos(math.pi * progress)) / 2


def action_loss(logits: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of the next action over the real steps, and the share predicted right."""
    real = steps.mask
    loss = F.cross_entropy(logits.float()[real], steps.action[real])
    return loss, (logits.argmax(-1) == steps.action)[real].float().mean()


def optimizer_of(model: nn.Module, settings: Optimization) -> torch.optim.AdamW:
    """AdamW; only the weights of linear layers decay, as published."""
    decayed = [part.weight for part in model.modules() if isinstance(part, nn.Linear)]
    chosen = {id(weight) for weight in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def train(
    name: str,
    seed: int,
    model: nn.Module,
    batch_loss: Callable[[int], tuple[Tensor, Tensor]],
    settings: Optimization,
    state: Path,
    identity: str,
) -> str:
    """Train `model` in place and return the text of `metrics.csv`.

    A batch is a pure function of the update's number, so a run that was interrupted goes on from its last checkpoint to the
    same weights, bit for bit on a CPU.

    Args:
        name: model name in the metrics.
        seed: seed in the metrics; seeds dropout.
        model: network in training mode, on its device.
        batch_loss: update number to (loss, accuracy).
        settings: optimisation.
        state: folder of the checkpoint.
        identity: hash of settings, seed, code and inputs; a checkpoint of another identity is not continued.
    """
    optimizer = optimizer_of(model, settings)
    restored = checkpoints.restore(state, identity, model, optimizer)
    rows, begin, spent = restored.rows, restored.update, restored.cpu_seconds
    parameters = sum(parameter.numel() for parameter in model.parameters())
    started, clock = time.process_time(), time.monotonic()
    bar = tqdm(desc=f"{name} seed {seed}", total=settings.updates, initial=begin, unit="update", mininterval=1, disable=None)
    model.train()
    for update in range(begin, settings.updates):
        rate = learning_rate(update, settings)
        for group in optimizer.param_groups:
            group["lr"] = rate
        seeding.seed_torch(seed, f"{name} dropout", update)
        loss, accuracy = batch_loss(update)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        bar.update()
        done = update + 1
        if done % settings.log_every == 0 or done == settings.updates:
            cpu = spent + time.process_time() - started
            values = (name, seed, done, f"{loss.item():.5f}", f"{accuracy.item():.5f}", f"{rate:.3e}", f"{float(norm):.4f}")
            rows.append([str(value) for value in (*values, parameters, f"{cpu:.1f}")])
            if bar.disable:  # not a terminal: a log gets lines instead
                speed = (done - begin) / (time.monotonic() - clock)
                left = (settings.updates - done) / speed
                print(f"update {done}/{settings.updates} loss {loss.item():.4f} {speed:.1f}/s {left:.0f} s left", flush=True)
        if done % settings.checkpoint_every == 0 and done < settings.updates:
            cpu = spent + time.process_time() - started
            checkpoints.save(state, identity, checkpoints.State(done, cpu, rows), model, optimizer)
    bar.close()
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def prepare(device: str) -> None:
    """Take the threads that the rule gave (`OMP_NUM_THREADS`, else 1); raise `RadtError` when `device` is not there."""
    torch.set_num_threads(threads())
    if device == "cuda" and not torch.cuda.is_available():
        raise RadtError("a device is set to 'cuda', but torch finds no GPU: set every `device` to cpu, or run where there is one")


def autocast(settings: Optimization) -> torch.autocast:
    """Matrix products in the precision of the settings."""
    return torch.autocast(settings.device, torch.bfloat16, enabled=settings.precision == "bfloat16")
