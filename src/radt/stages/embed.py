"""Turn every sub-trajectory into a vector with a frozen encoder: `python -m radt.stages.embed --help`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from torch import Tensor

from radt import artifacts
from radt.retrieval import index
from radt.retrieval.source import EncoderSource
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.registry import VECTORS
from radt.settings.retrieval import Embed, Language
from radt.stages import run
from radt.suites import experiment_spec
from radt.training import job, loop


class Selection(Section):
    """The part of the configuration that this stage sees; `embed_language` only for the language model."""

    experiment: AnyExperiment
    embed: Embed
    embed_language: Language | None = None


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=VECTORS, help="which encoder, a file of radt.encoders")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment, embed and those of the encoder")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    parser.add_argument("--encoder", type=Path, help="directory of the pre-trained DT (dt only)")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    device = loop.prepare(selection.embed.device)
    suite = experiment_spec(selection.experiment)
    data = job.read_data(given.trajectories, suite)
    source = EncoderSource(suite, selection.embed, selection.embed_language, given.encoder, device)
    vectors, identity = import_module(f"radt.encoders.{given.kind}").vectors(source, data.episodes)
    write(given.output, vectors, data, {"encoder": identity, **selection.embed.origin()})
    return 0


def write(output: Path, vectors: dict[str, Tensor], data: job.Data, config: dict[str, object]) -> None:
    """Write the vectors of an encoder, the learning history of each key, and `config.json` with their inputs.

    Raises `RadtError` when a key or a query is not finite.
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
