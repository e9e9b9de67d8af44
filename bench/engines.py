"""Environment steps per second, one core: grid engines against MiniHack and toymeta, others against Gymnasium itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from numpy.typing import NDArray

from bench.harness import Measurement, alternate, defaults, peer_package, timed
from radt.settings.parsing import parse
from radt.suites import suite_of
from radt.suites.grid import darkroom, engine
from radt.suites.gymnasium.settings import GymnasiumExperiment

SIZE, HORIZON, GOAL = 10, 100, (3, 4)
BATCH, EPISODES = 4096, 10  # of ours at once; episodes of a peer in one call
TOGETHER = 64  # environments of a user
FEW, SAME = 8, AutoresetMode.SAME_STEP
SIMULATIONS = ("reacher_hidden", "metaworld_reach", "procgen_maze")


def minihack_room(width: int, height: int, horizon: int, goal: tuple[int, int] | None) -> Any:
    """The published Dark-Room level in MiniHack, with the cursor, which tells the position, as its only observation.

    A fountain is the goal (x, y), +1 whenever the agent stands on it, no success, nobody else in the room. Without a goal the
    room is empty and pays nothing: the least that MiniHack can do, as the event that pays looks at every cell of the screen in
    every step.
    """
    minihack, nethack = peer_package("minihack"), peer_package("nle.nethack")
    level = minihack.LevelGenerator(w=width, h=height, lit=True)
    level.set_start_pos((0, 0))
    reward = None
    if goal is not None:
        level.add_fountain(goal)
        reward = minihack.RewardManager()
        reward.add_location_event("fountain", reward=1, repeatable=True, terminal_required=False)
        # Without any required event MiniHack ends the episode at once, so one that never happens is required.
        reward.add_message_event(["this message is never shown"], reward=0, terminal_required=True)
    directions = nethack.CompassDirection
    return minihack.MiniHackNavigation(
        des_file=level.get_des(),
        reward_manager=reward,
        actions=(directions.N, directions.E, directions.S, directions.W, nethack.MiscDirection.WAIT),
        observation_keys=["tty_cursor"],
        max_episode_steps=horizon,
        penalty_step=0.0,
    )


def toymeta_room() -> Any:
    """toymeta's Dark-Room of the same size, without the wrappers that `gymnasium.make` would add."""
    return peer_package("toymeta.dark_room").DarkRoom(size=SIZE, goal=GOAL, random_start=False)


def play(env: Any, actions: list[list[int]]) -> None:
    """Play an episode for each list of `actions` in a Gymnasium environment."""
    for episode in actions:
        env.reset()
        for action in episode:
            env.step(action)


def play_together(env: Any, actions: NDArray[np.int64]) -> None:
    """Play random actions [steps, environments] in a vector environment."""
    env.reset(seed=0)
    for step in actions:
        env.step(step)


def registered(runs: int) -> Measurement:
    """CartPole as the suite `gymnasium` plays it, against Gymnasium's own vector environment of as many."""
    tasks = {"num_tasks": TOGETHER, "num_held_out": 1, "num_validation": 0, "attributes": {"gravity": {"low": 9.0, "high": 10.0}}}
    given = {"suite": "gymnasium", "environment": "CartPole-v1", "horizon": 500, **tasks}
    experiment = parse(GymnasiumExperiment, given)
    ours = suite_of(experiment).make(np.arange(TOGETHER))
    same = {"autoreset_mode": SAME}
    peer = gymnasium.make_vec("CartPole-v1", num_envs=TOGETHER, vectorization_mode="sync", vector_kwargs=same)
    actions = np.random.default_rng(0).integers(0, 2, (HORIZON, TOGETHER))
    rates = [partial(timed, partial(play_together, env, actions), float(actions.size)) for env in (ours, peer)]
    return alternate(
        f"CartPole steps, {TOGETHER} tasks: Gymnasium",
        "steps/s",
        "SyncVectorEnv of gymnasium.make_vec",
        1.0,
        rates[0],
        rates[1],
        runs,
    )


def simulated(name: str, runs: int) -> list[Measurement]:
    """Steps of an experiment's tasks by its suite, in this process, against a plain loop over one task and a process for each.

    Actions are random codes. An action of a robot is several steps of its simulator.
    """
    suite: Any = suite_of(defaults().experiments[name])
    tasks = np.arange(FEW)
    random = np.random.default_rng(0)
    actions = suite.done(np.stack([random.integers(0, most, HORIZON * FEW) for most in suite.spec.actions], 1))
    actions = actions.reshape(HORIZON, FEW, *actions.shape[1:])
    made = [partial(suite.environment, task) for task in tasks.tolist()]
    alone, many = made[0](), AsyncVectorEnv(made, autoreset_mode=SAME)
    peers = [
        ("one environment in a loop", partial(play, alone, [actions[:, 0].tolist()]), HORIZON),
        (
            "AsyncVectorEnv",
            partial(play_together, many, actions),
            HORIZON * FEW,
        ),
    ]
    ours = partial(timed, partial(play_together, suite.make(tasks), actions), float(HORIZON * FEW))
    measured = [
        alternate(
            f"{name} steps, {FEW} tasks: {label}", "steps/s", label, None, ours, partial(timed, function, float(count)), runs
        )
        for label, function, count in peers
    ]
    many.close()
    return measured


def measure(runs: int) -> list[Measurement]:
    """Dark-Room against each peer, episodes of 100 random actions with their resets; a registered one, and simulations."""
    peers = [
        ("MiniHack", minihack_room(SIZE, SIZE, HORIZON, GOAL), 2000.0),
        ("MiniHack without reward", minihack_room(SIZE, SIZE, HORIZON, None), 2000.0),
        ("toymeta", toymeta_room(), 100.0),
    ]
    actions = np.random.default_rng(0).integers(0, len(darkroom.MOVES), (EPISODES, HORIZON)).tolist()
    simulations = [entry for name in SIMULATIONS for entry in simulated(name, runs)]
    return [registered(runs), *simulations] + [
        alternate(
            f"Dark-Room 10x10 steps, batch {BATCH}: {label}",
            "steps/s",
            f"{label}, one environment",
            target,
            partial(engine.measure, darkroom.vector_env(num_envs=BATCH)),
            partial(timed, partial(play, env, actions), float(EPISODES * HORIZON)),
            runs,
        )
        for label, env, target in peers
    ]
