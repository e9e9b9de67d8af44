"""Experiment trackers: TensorBoard, Weights & Biases, Trackio, MLflow. radt needs none of them.

Each writes to `tracking/`, without a network, unless its own environment variables, such as WANDB_MODE, say otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from radt.errors import RadtError, said

FOLDER, PROJECT = Path("tracking"), "radt"
SHOWN, AT_ONCE = 500, 100
"""Limits of MLflow: characters of a setting, and settings at once."""
Values = dict[str, float]
Settings = dict[str, Any]


class Run(Protocol):
    """A run in a tracker: curves by step."""

    def log(self, step: int, values: Values) -> None:
        """Add numbers by name; steps may come in any order."""

    def finish(self) -> None:
        """Flush and close the run."""


class TensorBoard:
    """A run in the folder `tracking/tensorboard`."""

    def __init__(self, name: str, settings: Settings) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(FOLDER / "tensorboard" / name))
        self._writer.add_text("settings", f"```\n{json.dumps(settings, indent=1)}\n```")

    def log(self, step: int, values: Values) -> None:
        """See `Run`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        """See `Run`."""
        self._writer.close()


class Wandb:
    """A run of Weights & Biases, offline unless WANDB_MODE says otherwise."""

    def __init__(self, name: str, settings: Settings) -> None:
        import wandb

        FOLDER.mkdir(exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        quiet = wandb.Settings(silent=True, console="off")
        place = {"project": PROJECT, "name": name, "dir": FOLDER}
        self._run = wandb.init(**place, config=settings, mode=mode, reinit="create_new", settings=quiet)
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Values) -> None:
        """See `Run`."""
        self._run.log({"step": step, **values})

    def finish(self) -> None:
        """See `Run`."""
        self._run.finish()


class Trackio:
    """A run of Trackio, in the folder that TRACKIO_DIR names."""

    def __init__(self, name: str, settings: Settings) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(FOLDER / "trackio"))  # Trackio reads it at import
        import trackio

        self._run = trackio.Run(None, PROJECT, None, name=name, config=settings)  # `init` would end the previous run

    def log(self, step: int, values: Values) -> None:
        """See `Run`."""
        self._run.log(values, step=step)

    def finish(self) -> None:
        """See `Run`."""
        self._run.finish()


class MLflow:
    """A run of MLflow, in the store that MLFLOW_TRACKING_URI names."""

    def __init__(self, name: str, settings: Settings) -> None:
        os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{FOLDER}/mlflow.db")
        from mlflow import MlflowClient
        from mlflow.entities import Param

        FOLDER.mkdir(exist_ok=True)
        self._client = MlflowClient()
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self._client.create_experiment(PROJECT)
        self._id = self._client.create_run(experiment, run_name=name).info.run_id
        params = [Param(key, str(value)[:SHOWN]) for key, value in _flat(settings).items()]
        for begin in range(0, len(params), AT_ONCE):
            self._client.log_batch(self._id, params=params[begin : begin + AT_ONCE])

    def log(self, step: int, values: Values) -> None:
        """See `Run`."""
        for name, value in values.items():
            self._client.log_metric(self._id, name, value, step=step)

    def finish(self) -> None:
        """See `Run`."""
        self._client.set_terminated(self._id)


TRACKERS: dict[str, Callable[[str, Settings], Run]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "trackio": Trackio,
    "mlflow": MLflow,
}
"""Classes of runs by the name of the tracker, which is the name of its package and its name in `tracking`."""


def _flat(settings: Settings, above: str = "") -> Settings:
    """Flat settings with dotted keys, such as `train_ad.episode_gap`."""
    found: Settings = {}
    for key, value in settings.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def start(tracker: str, name: str, settings: Settings) -> Run:
    """A new run in a tracker; raises `RadtError` when the tracker fails."""
    try:
        return TRACKERS[tracker](name, settings)
    except Exception as error:  # trackers may need a network, an account or other versions of packages
        raise RadtError(f"{tracker} does not start ({said(error)}): mend that, or leave it out of `tracking`") from error


def check(names: Sequence[str]) -> None:
    """Raise `RadtError` when the package of a tracker is not installed."""
    if absent := [name for name in names if find_spec(name) is None]:
        raise RadtError(
            f"tracking names {absent[0]!r}, whose package is not installed: run `pip install {absent[0]}`, or leave it out"
        )
