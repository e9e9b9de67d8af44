"""Code that the suites of robots share: environments of Gymnasium, made from the task names of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.data.trajectories import Shard, Task
from radt.errors import RadtError, said
from radt.seeding import generator
from radt.settings.robots import RobotExperiment
from radt.settings.sources import Expert, Search
from radt.settings.sources import Trajectories as Settings
from radt.spaces import Spec
from radt.suites import experiment_spec, published, searching
from radt.suites.gymnasium import rl, sources
from radt.suites.gymnasium.environment import Env, Together, sentences, view_of
from radt.suites.gymnasium.spec import spec_from
from radt.suites.gymnasium.suite import EnvironmentSuite

PIXELS = 240
"""Height and width of a picture."""
Make = Callable[[Any, int], Env]
"""A function that makes the environment of a task of an experiment."""


def spec_of(experiment: RobotExperiment, make: Make) -> Spec:
    """Observations, actions and rewards of the first task; all tasks share them."""
    with sentences(experiment.names[0]):
        env = make(experiment, 0)
    try:
        return spec_from(experiment, env)
    finally:
        env.close()  # type: ignore[no-untyped-call]


class RobotSuite(EnvironmentSuite):
    """Tasks of a package of robots."""

    def __init__(self, experiment: RobotExperiment, make: Make, body: Callable[[Any, np.random.Generator], searching.Body]):
        """`body` makes a `Body` of an environment of `make`; it may draw random numbers."""
        super().__init__(experiment, spec_of(experiment, make))
        self._make, self.body = make, body

    def environment(self, task: int) -> Env:
        """The environment of one task; raises `RadtError` when the package cannot make it."""
        with sentences(self.experiment.name_of(task)):
            return self._make(self.experiment, task)

    def expert(self, env: Together, seed: int) -> Callable[[], NDArray[np.float64]]:
        """See `WithExpert`."""
        bodies = [self.body(own, generator(seed, "expert", number)) for number, own in enumerate(env.unwrapped.envs)]
        return lambda: np.stack([body.towards(body.goal) for body in bodies])

    def picture(self, env: Together, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """See `WithPictures`; raises `RadtError` where nothing can be drawn without a display."""
        robot = env.unwrapped.envs[0]
        try:
            picture: NDArray[np.uint8] = robot.picture(PIXELS)
        except Exception as error:  # errors of MuJoCo and OpenGL have no common class
            remedy = "install EGL (libegl1) and set MUJOCO_GL=egl, or do without pictures: nothing else needs them"
            raise RadtError(f"MuJoCo cannot draw here ({said(error)}): {remedy}") from None
        return picture

    def tasks(self) -> list[Task]:
        """See `Described`; no returns are known."""
        own = self.experiment
        return [
            Task(number, split, {"name": own.name_of(number), "goal_seed": own.goal_seed(number)}, {})
            for number, split in enumerate(own.splits)
        ]


def collect(
    experiment: RobotExperiment, settings: Settings, histories: Path | None, unseen: slice
) -> tuple[dict[str, Any], Iterable[Shard]]:
    """See `radt.suites.sources`. Adds to the sources of the suite `gymnasium` a learner that searches, an expert with some random
    actions, and the published replay buffers. The numbers `unseen` of the buffers' observations are hidden.
    """
    if settings.source == "download" and settings.download:
        from radt.data.download import fetch  # slow to import, and only needed here

        folder = fetch(settings.download, list(published.file_names(experiment).values()))
        source = {"name": "download", "algorithm": "sac", **settings.download.model_dump(mode="json", exclude={"checksums"})}
    else:
        folder, source = Path(str(settings.import_folder)), {"name": "import"}
        own = (folder / "manifest.json").is_file() or (folder / "task0.npz").is_file()
        if settings.source != "import" or own:
            return sources.collect(experiment, settings, histories, ("search", "expert", "download"))
    files = published.checksums(folder, experiment)
    return {**source, "files": files}, published.histories(folder, experiment_spec(experiment), unseen)


def learn_task(suite: RobotSuite, settings: Settings, task: int) -> Shard:
    """See `radt.suites.sources.learn`: by Stable-Baselines3, by a search or by an expert."""
    own, experiment = settings.learner, suite.experiment
    if not isinstance(own, Search | Expert):
        return rl.learned(suite, settings, task)
    env = suite.environment(task)
    view, robot = view_of(experiment, env.observation_space), suite.body(env, generator(own.seed, "body", task))
    with sentences(experiment.name_of(task)):
        if isinstance(own, Search):
            return searching.search(robot, view, own, task, experiment.horizon)
        return searching.imitate(robot, view, own, task, experiment.horizon)
