"""Settings of learning histories and files of published ones, for the tests of where histories come from."""

import json
import subprocess
import sys

import numpy as np

PPO = {
    "seed": 0,
    "steps": 300,
    "learning_rate": 3.0e-4,
    "rollout": 128,
    "batch_size": 64,
    "epochs": 2,
    "discount": 0.9,
    "entropy": 0.01,
}
DOWNLOAD = {"repository": "a/b", "revision": "0" * 40, "folder": "4x3", "checksums": None}


def save_published(path, observations, actions, rewards, dones):
    """A file as a replay buffer writes it, with three steps of an unfinished episode at its end."""
    observations = np.concatenate([observations, observations[:3]])
    np.savez_compressed(
        path,
        observations=observations[:, None],
        next_observations=np.roll(observations, -1, axis=0)[:, None],
        actions=np.concatenate([actions, actions[:3]]).astype(np.int64)[:, None, None],
        rewards=np.concatenate([rewards, np.zeros(3)]).astype(np.float32)[:, None],
        dones=np.concatenate([dones, np.zeros(3)]).astype(np.float32)[:, None],
    )


def contents(directory):
    """Content of every file of a directory, by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def trajectories_stage(output, experiment, generate, source, *options, import_folder=None):
    """Run the trajectories stage in a process of its own."""
    sections = {"source": source, "generate": generate.model_dump(), "ppo": PPO, "download": DOWNLOAD}
    text = json.dumps({"experiment": experiment.model_dump(), "trajectories": {**sections, "import_folder": import_folder}})
    command = [sys.executable, "-m", "radt.stages.trajectories", "--experiment", "tiny", "--settings", text]
    return subprocess.run([*command, "--output", str(output), *options], capture_output=True, encoding="utf-8")
