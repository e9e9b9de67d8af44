"""Get or make the learning histories of all training tasks: `python -m radt.stages.trajectories --help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.data import published, trajectories
from radt.data.qlearning import learn
from radt.data.trajectories import Shard
from radt.settings import Experiment, Section, Trajectories, parse
from radt.stages import run


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: Experiment
    trajectories: Trajectories


def collect(experiment: Experiment, settings: Trajectories) -> tuple[dict[str, Any], Iterable[Shard]]:
    """Where the histories come from, for the manifest, and the histories themselves, a task or more at a time."""
    if settings.source == "generate":
        source = {"name": "generate", "algorithm": "q-learning", **settings.generate.model_dump(mode="json")}
        return source, [learn(experiment, settings.generate)]
    if settings.source == "download":
        from radt.data.download import fetch  # slow to import, and only needed here

        folder = fetch(settings.download, experiment)
        source = {"name": "download", "algorithm": "ppo", **settings.download.model_dump(mode="json", exclude={"checksums"})}
    else:
        folder = Path(str(settings.import_folder))
        source = {"name": "import"}
    return {**source, "files": published.checksums(folder, experiment)}, published.convert(folder, experiment)


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", required=True, help="name of the experiment")
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and trajectories")
    parser.add_argument("--output", required=True, type=Path, help="directory to write; its manifest.json comes last")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    source, shards = collect(selection.experiment, selection.trajectories)
    trajectories.write(arguments.output, arguments.experiment, selection.experiment, source, shards)
    manifest = trajectories.read(arguments.output, selection.experiment).manifest
    print(f"{manifest['episodes']} episodes, {manifest['steps']} steps in {arguments.output}")
    return 0


if __name__ == "__main__":
    run(main)
