"""A small environment of float vectors and two action dimensions, and learning histories of it with the labels of an expert."""

import gymnasium
import numpy as np
from gymnasium import spaces

from radt.data.trajectories import Shard

ID, HORIZON = "radt-tests/Reach-v0", 8
GOALS = [(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False)]


class Reach(gymnasium.Env):
    """A point on a plane whose unseen goal depends on the task; the reward is minus its distance, an episode ends at the goal."""

    def __init__(self, task, continuous=True):
        self.goal = np.array(GOALS[task])
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,)) if continuous else spaces.MultiDiscrete([3, 5])

    def seen(self):
        return np.array([*self.place, 100.0], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.normal(0.0, 0.1, 2)
        return self.seen(), {}

    def step(self, action):
        scale = 1.0 if isinstance(self.action_space, spaces.Box) else np.array([1.0, 2.0])
        move = np.asarray(action) / scale - (0.0 if isinstance(self.action_space, spaces.Box) else 1.0)
        self.place = self.place + 0.4 * move
        distance = np.linalg.norm(self.place - self.goal)
        return self.seen(), -distance, bool(distance < 0.2), False, {}


def histories(suite, tasks, episodes=12, seed=0):
    """One shard: learners that choose better and better codes, and what leads straight to the goal."""
    random, spec = np.random.default_rng(seed), suite.spec
    columns = {name: [] for name in ("observations", "actions", "rewards", "labels", "terminated", "length", "task")}
    for task in tasks:
        env = Reach(task, spec.continuous)
        for episode in range(episodes):
            seen, done, time = env.reset(seed=int(random.integers(1000)))[0], False, 0
            while not done and time < suite.experiment.horizon:
                direction = (env.goal - env.place) / np.linalg.norm(env.goal - env.place)
                label = np.rint((direction + 1) / 2 * (np.array(spec.actions) - 1)).astype(np.uint8)
                code = label if random.random() < episode / episodes else random.integers(0, spec.actions).astype(np.uint8)
                action = suite.done(code[None])[0]
                columns["observations"].append(seen)
                columns["actions"].append(action)
                columns["labels"].append(suite.done(label[None])[0])
                seen, reward, done, _, _ = env.step(action)
                columns["rewards"].append(reward)
                time += 1
            columns["terminated"].append(done)
            columns["length"].append(time)
            columns["task"].append(task)
    types = spec.dtypes
    return Shard(
        np.array(columns["observations"], types["observations"]),
        np.array(columns["actions"], types["actions"]),
        np.array(columns["rewards"], np.float32),
        np.concatenate([[0], np.cumsum(columns["length"])]),
        np.array(columns["task"], np.int32),
        np.zeros(len(columns["task"]), np.int32),
        np.array(columns["terminated"], np.uint8),
        np.array(columns["labels"], types["actions"]),
    )


if ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=f"{__name__}:Reach")
    gymnasium.register(ID.replace("Reach", "Grasp"), entry_point=f"{__name__}:Reach", kwargs={"continuous": False})
