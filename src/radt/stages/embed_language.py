"""Turn every sub-trajectory into a vector with a frozen language model: `python -m radt.stages.embed_language --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from radt.models.language import LanguageEncoder
from radt.retrieval.language_keys import embed_language
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.retrieval import Embed, Language
from radt.stages import run
from radt.stages.embed import write
from radt.suites import experiment_spec
from radt.training import job, loop


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: AnyExperiment
    embed: Embed
    embed_language: Language


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment, embed and embed_language")
    parser.add_argument("--trajectories", required=True, type=Path, help="directory of the learning histories")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    selection = parse(Selection, given.settings)
    suite, embed = experiment_spec(selection.experiment), selection.embed
    device = loop.prepare(embed.device)
    data = job.read_data(given.trajectories, suite)
    encoder = LanguageEncoder(selection.embed_language, suite.spec, embed.chunk_length, device)
    vectors = embed_language(encoder, data.episodes, embed, suite.spec.horizon)
    write(given.output, vectors, data, {"encoder": encoder.identity, **embed.origin()})
    return 0


if __name__ == "__main__":
    run(main)
