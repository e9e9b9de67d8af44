"""Get or make the learning histories of all training tasks: `python -m radt.stages.trajectories --help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radt.artifacts import write_text
from radt.data import ppo, published, trajectories
from radt.data.curve import learning_curve
from radt.data.qlearning import learn
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings import Experiment, Section, Trajectories, parse
from radt.stages import run


class Selection(Section):
    """What this stage needs of the configuration."""

    experiment: Experiment
    trajectories: Trajectories


def collect(experiment: Experiment, settings: Trajectories, histories: Path | None) -> tuple[dict[str, Any], Iterable[Shard]]:
    """Where the histories come from, for the manifest, and the histories themselves, a task or more at a time.

    `histories` is the folder of what PPO learned, for `source: ppo`; raises `RadtError` when that is not given.
    """
    if settings.source == "generate":
        source = {"name": "generate", "algorithm": "q-learning", **settings.generate.model_dump(mode="json")}
        return source, [learn(experiment, settings.generate)]
    if settings.source == "ppo":
        if histories is None:
            raise RadtError(
                "trajectories.source is 'ppo', but --histories is not given: name the folder that the ppo stage wrote"
            )
        source = {"name": "ppo", "algorithm": "ppo", **settings.ppo.model_dump(mode="json")}
        return source, ppo.read(histories, experiment, settings.ppo)
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
    parser.add_argument("--histories", type=Path, help="folder that the ppo stage wrote, for trajectories.source ppo")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    arguments = parser.parse_args(argv)
    selection = parse(Selection, arguments.settings)
    source, shards = collect(selection.experiment, selection.trajectories, arguments.histories)
    trajectories.write(arguments.output, arguments.experiment, selection.experiment, source, shards)
    data = trajectories.read(arguments.output, selection.experiment)
    write_text(arguments.output / "learning.csv", learning_curve(data.shards))
    print(f"{data.manifest['episodes']} episodes, {data.manifest['steps']} steps in {arguments.output}")
    if selection.trajectories.source in ("download", "import") and (
        stay := published.key_stays(data.shards, selection.experiment)
    ):
        print(f"the key stays taken in {len(stay)} of the histories, as in the published engine (docs/differences.md)")
    return 0


if __name__ == "__main__":
    run(main)
