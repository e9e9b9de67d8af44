"""Training of the Decision Transformer: environment steps per second against other implementations, and share of the peak.

Every implementation repeats one whole update (forward, loss, backward, clipping, AdamW) on one batch that lies in memory, without
dropout. The peers are what their packages make by default: float32, three tokens a step. Radt is measured in both token forms and
both precisions; the targets hold for bfloat16, the precision of config/config.yaml. One row compares both sides in bfloat16.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.harness import Measurement, compare, darkroom, defaults, peer_package, rotate, timed
from radt.data.steps import Steps
from radt.models import store
from radt.settings.models import Model, Optimization, Training
from radt.suites import suite_of
from radt.suites.grid.engine import ACTIONS
from radt.training import loop

Update = Callable[[], None]
Tokens = Literal["step", "interleaved"]
Precision = Literal["bfloat16", "float32"]
FORMS: tuple[Tokens, ...] = ("step", "interleaved")
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")
TARGETS = {"step": 6.0, "interleaved": 3.0}
ROOM = darkroom()
PEAK_SIZES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192, 16384)}
SECONDS = 0.5


@dataclass(frozen=True)
class Size:
    """A network and its batch; `tokens` is the form in which radt trains it, `share` of the peak that it should reach."""

    name: str
    width: int
    layers: int
    heads: int
    window: int
    batch: int
    tokens: Tokens
    share: float

    def model(self, tokens: Tokens) -> Model:
        """Its settings."""
        return Model(
            tokens=tokens,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            dropout=0.0,
            window=self.window,
            return_bin=1,
        )


def sizes() -> tuple[Size, Size]:
    """The default DT, and the paper's with a smaller batch: with its 128 windows, an update of a peer takes 20 seconds."""
    model, batch = defaults().pretrain.model, defaults().pretrain.optimization.batch_size
    default = Size("default size", model.width, model.layers, model.heads, model.span(ROOM), batch, model.tokens, share=0.25)
    return default, Size("paper's size, batch 16", 512, 4, 8, window=50, batch=16, tokens="interleaved", share=0.45)


def optimization(precision: Precision, device: str = "cpu") -> Optimization:
    """Optimisation as in config/config.yaml."""
    return defaults().pretrain.optimization.model_copy(update={"precision": precision, "device": device})


def training_flops(model: Model, batch: int) -> float:
    """Floating-point operations that one update of a DT needs, counted as is usual: 6 a weight and token, 2 forward, 4 backward.

    A block has 12 W^2 weights (attention 4 W^2, MLP 8 W^2), the head W x A, one token a step. Causal attention multiplies each of
    T (T + 1) / 2 pairs of tokens twice, W numbers each: 12 W a pair; what an implementation computes for pairs that the mask
    hides does not count. Embeddings, norms, softmax and the optimiser are left out.
    """
    tokens = model.window * (1 if model.tokens == "step" else 4)
    weights = 12 * model.width**2 * model.layers * tokens + model.width * ACTIONS * model.window
    pairs = model.layers * tokens * (tokens + 1) / 2
    return batch * (6.0 * weights + 12.0 * model.width * pairs)


def random_batch(batch: int, window: int) -> Steps:
    """[batch, window] steps of random content, all real."""
    random = torch.Generator().manual_seed(0)
    shape = (batch, window)
    action = torch.randint(ACTIONS, shape, generator=random)
    reward = torch.randint(2, shape, generator=random).float()
    return Steps(
        observation=torch.randint(ROOM.width, (*shape, 2), generator=random),
        returns=reward.flip(1).cumsum(1).flip(1),
        previous_action=F.pad(action[:, :-1], (1, 0), value=ACTIONS)[..., None],
        previous_reward=F.pad(reward[:, :-1], (1, 0)),
        received=F.pad(reward[:, :-1], (1, 0)).cumsum(1),
        action=action[..., None],
        reward=reward,
        time=torch.arange(window).expand(shape),
        mask=torch.ones(shape, dtype=torch.bool),
    )


def updating(model: nn.Module, loss: Callable[[], Tensor], settings: Optimization) -> Update:
    """One update of `model`, as in `radt.training.loop.train`, to its end on a GPU, too."""
    optimizer = loop.optimizer_of(model, settings)
    model.train()

    def update() -> None:
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimizer.step()
        if settings.device == "cuda":
            torch.cuda.synchronize()

    return update


def ours(size: Size, tokens: Tokens, precision: Precision, device: str = "cpu", compiled: bool = False) -> Update:
    """An update of radt's DT."""
    settings = optimization(precision, device)
    training = Training(model=size.model(tokens), start_probability=0.0, optimization=settings)
    model = store.dt(suite_of(ROOM).spec, training).to(device)
    if compiled:
        loop.compile_blocks(model)
    steps = random_batch(size.batch, size.window).to(device)

    def loss() -> Tensor:
        with loop.autocast(settings, device):
            logits, _ = model(steps)
        return loop.action_loss(model.head, logits, steps)[0]

    return updating(model, loss, settings)


def hugging_face(size: Size, precision: Precision = "float32", device: str = "cpu") -> Update:
    """An update of transformers' Decision Transformer: actions as one-hot vectors, its action output as logits.

    In bfloat16 it runs under the autocast that ours runs under.
    """
    transformers = peer_package("transformers")
    config = transformers.DecisionTransformerConfig(
        state_dim=2,
        act_dim=ACTIONS,
        hidden_size=size.width,
        max_ep_len=ROOM.horizon,
        action_tanh=False,
        n_positions=3 * size.window,
        n_layer=size.layers,
        n_head=size.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = transformers.DecisionTransformerModel(config).to(device)
    steps, settings = random_batch(size.batch, size.window).to(device), optimization(precision, device)
    states, one_hot = steps.observation.float(), F.one_hot(steps.action[..., 0], ACTIONS).float()

    def loss() -> Tensor:
        with loop.autocast(settings, device):
            result = model(states, one_hot, steps.reward[..., None], steps.returns[..., None], steps.time)
        return F.cross_entropy(result.action_preds.float().flatten(0, 1), steps.action.flatten())

    return updating(model, loss, settings)


def d3rlpy(size: Size, device: str = "cpu") -> Update:
    """An update of d3rlpy's network for discrete actions, with one linear layer to encode the state."""
    package = peer_package("d3rlpy")
    model = peer_package("d3rlpy.models.builders").create_discrete_decision_transformer(
        observation_shape=(2,),
        action_size=ACTIONS,
        encoder_factory=package.models.VectorEncoderFactory([size.width]),
        num_heads=size.heads,
        max_timestep=ROOM.horizon,
        num_layers=size.layers,
        context_size=size.window,
        attn_dropout=0.0,
        resid_dropout=0.0,
        embed_dropout=0.0,
        activation_type="gelu",
        embed_activation_type="tanh",
        position_encoding_type=package.PositionEncodingType.GLOBAL,
        device="cuda:0" if device == "cuda" else device,
        enable_ddp=False,
    )
    steps = random_batch(size.batch, size.window).to(device)
    inputs = (steps.observation.float(), steps.action, steps.returns[..., None], steps.time)
    hidden = torch.zeros(size.batch, size.window, device=device)

    def loss() -> Tensor:
        _, logits = model(*inputs, hidden)
        return F.cross_entropy(logits.flatten(0, 1), steps.action.flatten())

    return updating(model, loss, optimization("float32", device))


def peak(precision: Precision, device: str = "cpu") -> float:
    """Operations per second of the fastest single product of two square matrices."""
    best, sizes_there = 0.0, PEAK_SIZES[device]
    for side in sizes_there:
        left, right = torch.rand(2, side, side, device=device).to(getattr(torch, precision))

        def product_of_two(left: Tensor = left, right: Tensor = right) -> None:
            torch.mm(left, right)
            if device == "cuda":
                torch.cuda.synchronize()

        begin = time.perf_counter()
        while time.perf_counter() - begin < SECONDS / len(sizes_there):
            best = max(best, timed(product_of_two, 2.0 * side**3, 0.0))
    return best


def measure_size(size: Size, runs: int, device: str) -> list[Measurement]:
    """One size: token forms and precisions against both peers, then the share of the peak in the form that radt trains; in that
    form also against transformers in bfloat16, and compiled against not compiled.

    The peak is a limit, so it is the best of all rounds, not their median: other work on the host can halve a round's.
    """
    steps = size.batch * size.window
    peers = {"transformers": hugging_face(size, device=device), "d3rlpy": d3rlpy(size, device)}
    updates = {f"{form} {precision}": ours(size, form, precision, device) for form in FORMS for precision in PRECISIONS} | peers
    updates["transformers bfloat16"] = hugging_face(size, "bfloat16", device)
    updates["compiled"] = ours(size, size.tokens, "bfloat16", device, compiled=True)
    rates = {name: partial(timed, update, float(steps), SECONDS) for name, update in updates.items()}
    peaks: dict[Precision, list[float]] = {precision: [] for precision in PRECISIONS}

    def watched(precision: Precision) -> float:
        peaks[precision].append(peak(precision, device))
        return peaks[precision][-1]

    rate = rotate(rates | {f"peak {precision}": partial(watched, precision) for precision in PRECISIONS}, runs)
    result = []
    for precision in PRECISIONS:
        aimed = precision == "bfloat16"
        for form, peer in product(FORMS, peers):
            name, target = f"training, {size.name}, {form} tokens, {precision}: {peer}", TARGETS[form] if aimed else None
            result.append(compare(name, "steps/s", f"{peer}, float32", target, rate[f"{form} {precision}"], rate[peer], runs))
        name, target = f"training, {size.name}, {size.tokens} tokens, {precision}: peak", size.share if aimed else None
        used = rate[f"{size.tokens} {precision}"] * training_flops(size.model(size.tokens), size.batch) / steps
        result.append(compare(name, "FLOP/s", "square matrix product", target, used, max(peaks[precision]), runs))
    name, both = f"training, {size.name}, {size.tokens} tokens, bfloat16: transformers in bfloat16", "transformers, bfloat16"
    mine, peers_rate = rate[f"{size.tokens} bfloat16"], rate["transformers bfloat16"]
    result.append(compare(name, "steps/s", both, None, mine, peers_rate, runs))
    name = f"training, {size.name}, {size.tokens} tokens, bfloat16, compiled: not compiled"
    return [*result, compare(name, "steps/s", "the same, not compiled", None, rate["compiled"], mine, runs)]


def measure(runs: int, device: str = "cpu") -> list[Measurement]:
    """Every size."""
    loop.check_compiler()
    return [entry for size in sizes() for entry in measure_size(size, runs, device)]
