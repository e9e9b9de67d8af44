"""Environment steps per second of the grid engines against MiniHack, which the paper used, and toymeta, one core."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bench.harness import Measurement, alternate, peer_package, timed
from radt.suites.grid import darkroom, engine

SIZE, HORIZON, GOAL = 10, 100, (3, 4)
BATCH, EPISODES = 4096, 10  # of ours at once; episodes of a peer in one call


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


def measure(runs: int) -> list[Measurement]:
    """Dark-Room against each peer; episodes of 100 random actions with their resets."""
    peers = [
        ("MiniHack", minihack_room(SIZE, SIZE, HORIZON, GOAL), 2000.0),
        ("MiniHack without reward", minihack_room(SIZE, SIZE, HORIZON, None), 2000.0),
        ("toymeta", toymeta_room(), 100.0),
    ]
    actions = np.random.default_rng(0).integers(0, len(darkroom.MOVES), (EPISODES, HORIZON)).tolist()
    return [
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
