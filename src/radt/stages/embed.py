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
from radt.retrieval.chunks import embed_episodes
from radt.settings import Embed, Experiment, Section, parse
from radt.stages import run
from radt.training import job, loop


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: Experiment
    embed: Embed


def embed_all(encoder: DecisionTransformer, episodes: Episodes, settings: Embed) -> tuple[Tensor, Tensor, Tensor]:
    """Keys [K, W] float32, episode [K] and anchor [K] of all sub-trajectories, in the order of the episodes."""
    keys, owners, anchors = [], [], []
    for begin in range(0, len(episodes.first), settings.batch_size):
        episode = torch.arange(begin, min(begin + settings.batch_size, len(episodes.first)))
        vectors, row, anchor = embed_episodes(
            encoder, episodes.columns, episodes.first[episode], episodes.length[episode], settings.chunk
        )
        keys.append(vectors)
        owners.append(episode[row])
        anchors.append(anchor)
    return torch.cat(keys), torch.cat(owners), torch.cat(anchors)


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and embed")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    parser.add_argument("--encoder", required=True, type=Path, help="directory of the pre-trained DT")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    loop.prepare(selection.embed.device)
    data = job.read_data(given.trajectories, given.experiment, selection.experiment)
    encoder, _, encoder_hash = store.read_dt(given.encoder, selection.experiment)
    encoder.to(selection.embed.device)
    keys, episode, anchor = embed_all(encoder, data.episodes, selection.embed)
    task = data.episodes.task[episode]
    tensors = {"keys": keys.numpy(), "episode": episode.int().numpy(), "anchor": anchor.int().numpy(), "task": task.int().numpy()}
    artifacts.write_tensors(given.output / "embeddings.safetensors", tensors)
    config = {"encoder": encoder_hash, "trajectories": data.sha256, "chunk": selection.embed.chunk, "keys": len(keys)}
    config["sha256"] = artifacts.sha256(given.output / "embeddings.safetensors")
    artifacts.write_json(given.output / "config.json", config)
    print(f"{len(keys)} sub-trajectories, {keys.shape[1]} numbers each")
    return 0


if __name__ == "__main__":
    run(main)
