"""Sub-trajectories and queries embedded per second, against the same encoder called for each alone, or for a batch of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from bench.harness import Measurement, compare, darkroom, defaults, generation, rotate, timed
from bench.reading import histories
from radt.data.windows import Episodes
from radt.encoders.dt import embed_all
from radt.models import store
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval.chunks import state_outputs, window_means
from radt.settings.retrieval import Embed
from radt.suites import suite_of

ROOM = darkroom().model_copy(update={"num_tasks": darkroom().num_held_out + 4})  # four of the training tasks
PEERS = (("window by window", 20.0, 64, 1), ("128 windows at once, none shared", 3.0, 1024, 128))  # name, target, windows, batch


@torch.no_grad()
def window_by_window(
    encoder: DecisionTransformer, episodes: Episodes, episode: Tensor, stop: Tensor, chunk_length: int, batch: int
) -> Tensor:
    """Vectors [K, W] of what ends before step `stop` [K] of `episode` [K], `batch` at once, each from a window of its own.

    The same vectors as ours where a window holds an episode.
    """
    vectors = []
    for owners, ends in zip(episode.split(batch), stop.split(batch), strict=True):
        first = episodes.first[owners]
        start = (ends - encoder.positions).clamp_min(0)
        steps = episodes.columns.windows(first, first + start, first + ends, int((ends - start).max()))
        outputs = state_outputs(encoder, steps)
        vectors.append(window_means(outputs, steps.mask.float(), (ends - start)[:, None], chunk_length)[:, 0])
    return torch.cat(vectors)


def measure(runs: int) -> list[Measurement]:
    """Learning histories, network and settings of config/config.yaml; sub-trajectories and queries of training windows."""
    with TemporaryDirectory() as directory:
        return _measure(histories(Path(directory), ROOM, generation()), defaults().embed, runs)


def _measure(episodes: Episodes, settings: Embed, runs: int) -> list[Measurement]:
    """Ours and both peers in turn, the peers on some vectors drawn from all."""
    encoder = store.dt(suite_of(ROOM).spec, defaults().pretrain).eval()
    vectors = embed_all(encoder, episodes, settings, ROOM.horizon)
    episode, stop = vectors["episode"], vectors["anchor"]
    if settings.query_stride is not None:
        owner, segment = torch.nonzero(torch.ones(vectors["queries"].shape[:2]), as_tuple=True)
        episode, stop = torch.cat([episode, owner]), torch.cat([stop, segment * settings.query_stride + 1])
    rates = {"ours": lambda: timed(lambda: embed_all(encoder, episodes, settings, ROOM.horizon), len(stop), 0.0)}
    random = torch.randperm(len(stop), generator=torch.Generator().manual_seed(0))
    for name, _, count, batch in PEERS:
        rows = random[:count].sort().values
        alone = partial(window_by_window, encoder, episodes, episode[rows], stop[rows], settings.chunk_length, batch)
        rates[name] = partial(timed, alone, float(count))
    rate = rotate(rates, runs)
    return [
        compare(f"embedding: {name}", "vectors/s", "the same encoder", target, rate["ours"], rate[name], runs)
        for name, target, _, _ in PEERS
    ]
