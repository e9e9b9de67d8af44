"""Programs that draw the numbers of trainings: TensorBoard, Weights & Biases, Trackio, MLflow. None of them is needed by radt.

Each keeps what it gets in `tracking/`, without a network. Its own variables of the environment, such as WANDB_MODE, send it
elsewhere.
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
"""Characters of a setting that MLflow takes, and settings that it takes at once."""
Values = dict[str, float]
Settings = dict[str, Any]


class Run(Protocol):
    """A curve or several, by step, in a tracker."""

    def log(self, step: int, values: Values) -> None:
        """Add numbers by name; steps may come in any order."""

    def finish(self) -> None:
        """Write what is not written yet."""


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
        os.environ.setdefault("TRACKIO_DIR", str(FOLDER / "trackio"))  # which Trackio reads when it is imported
        import trackio

        self._run = trackio.Run(None, PROJECT, None, name=name, config=settings)  # `init` would end the run before

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
"""What opens a run, by the name of the tracker's package, which is its name in `tracking`."""


def _flat(settings: Settings, above: str = "") -> Settings:
    """Settings by their whole key, `train_ad.episode_gap`."""
    found: Settings = {}
    for key, value in settings.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def start(tracker: str, name: str, settings: Settings) -> Run:
    """A new run in a tracker; raises `RadtError` where that is not possible."""
    try:
        return TRACKERS[tracker](name, settings)
    except Exception as error:  # of somebody else's code, which may want a network, an account or another version of something
        raise RadtError(f"{tracker} does not start ({said(error)}): mend that, or leave it out of `tracking`") from error


def check(names: Sequence[str]) -> None:
    """Raise `RadtError` when the package of a tracker is not installed."""
    if absent := [name for name in names if find_spec(name) is None]:
        raise RadtError(
            f"tracking names {absent[0]!r}, whose package is not installed: run `pip install {absent[0]}`, or leave it out"
        )
