"""Turn every sub-trajectory into a vector with the frozen DT: `python -m radt.stages.embed --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from radt import artifacts
from radt.data.windows import Episodes
from radt.models import store
from radt.models.decision_transformer import DecisionTransformer
from radt.retrieval import index
from radt.retrieval.chunks import anchors, episode_vectors, segment_stops
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.retrieval import Embed
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    embed: Embed


def embed_all(encoder: DecisionTransformer, episodes: Episodes, settings: Embed, horizon: int) -> dict[str, Tensor]:
    """Vectors of all sub-trajectories, in the order of the episodes, and of all queries of episodes of `horizon` steps.

    Returns:
        `keys` [K, W] float32, `episode` [K] and `anchor` [K] of all chunks; with `query_stride` also `queries` [E, S, W].
    """
    stops = segment_stops(horizon, settings.query_stride) if settings.query_stride else torch.zeros(0, dtype=torch.long)
    found: dict[str, list[Tensor]] = {name: [] for name in ("keys", "episode", "anchor", "queries")}
    order = episodes.length.argsort(stable=True)  # episodes of a batch are as long as its longest: mazes would be padded fourfold
    for batch in order.split(settings.batch_size):
        first, length = episodes.first[batch], episodes.length[batch]
        anchor = anchors(length, settings.chunk_length)
        ends = torch.cat([anchor, stops.expand(len(batch), -1)], 1)
        vectors = episode_vectors(encoder, episodes.columns, first, length, ends, settings.chunk_length)
        row, column = torch.nonzero(anchor, as_tuple=True)
        count = anchor.shape[1]
        for name, value in (
            ("keys", vectors[row, column]),
            ("episode", batch[row]),
            ("anchor", anchor[row, column]),
            ("queries", vectors[:, count:].clone()),
        ):
            found[name].append(value)
    joined = {name: torch.cat(found.pop(name)) for name in list(found)}
    queries, by_episode = joined.pop("queries")[order.argsort()], joined["episode"].argsort(stable=True)
    return {name: part[by_episode] for name, part in joined.items()} | ({"queries": queries} if len(stops) else {})


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and embed")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    parser.add_argument("--encoder", required=True, type=Path, help="directory of the pre-trained DT")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    device = loop.prepare(selection.embed.device)
    suite = experiment_spec(selection.experiment)
    data = job.read_data(given.trajectories, suite)
    encoder, _, encoder_hash = store.read_dt(given.encoder, suite, selection.embed.aggregate)
    encoder.to(device)
    vectors = embed_all(encoder, data.episodes, selection.embed, selection.experiment.horizon)
    write(given.output, vectors, data, {"encoder": encoder_hash, **selection.embed.origin()})
    return 0


def write(output: Path, vectors: dict[str, Tensor], data: job.Data, config: dict[str, object]) -> None:
    """Write the vectors of `embed_all`, the learning history of each key, and a `config.json` telling what they are made of.

    Raises `RadtError` when the encoder has made keys or queries that are not finite.
    """
    keys, episode = vectors["keys"], vectors["episode"]
    table = {"episode": episode.int(), "anchor": vectors["anchor"].int(), "history": data.episodes.history[episode].int()}
    tensors = {name: value.numpy() for name, value in {**vectors, **table}.items()}
    index.check(tensors, "the encoder", "train it again with a lower learning_rate", "history")
    artifacts.write_tensors(output / "embeddings.safetensors", tensors)
    config = {**config, "trajectories": data.sha256, "keys": len(keys)}
    artifacts.write_checked_json(
        output / "config.json", {**config, "sha256": artifacts.sha256(output / "embeddings.safetensors")}
    )
    print(f"{len(keys)} sub-trajectories, {keys.shape[1]} numbers each")


if __name__ == "__main__":
    run(main)
