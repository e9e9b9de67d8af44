"""A film strip: the first and the last in-context episode of a trained agent in one task."""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radt import artifacts
from radt.agent import TrainedAgent, load
from radt.commands.replay import evaluation_of, keep
from radt.errors import RadtError
from radt.suites.base import WithPictures

FRAMES = 8
"""Pictures of an episode, equally spaced in time."""
Frame = tuple[int, float, NDArray[np.uint8], str]
"""Step, return so far, picture, and text on what is read."""


def film(weights: Path, task: int | None, method: str | None, output: Path) -> str:
    """Let the agent play as many episodes as in its evaluation in one task, and write a PNG file to `output`, with a record if it
    is below results/.

    Returns:
        A sentence on what it shows.

    Raises:
        RadtError: agent or task do not exist, the suite cannot be drawn here, or `output` is among other results.
    """
    os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo, which draws robots, is imported
    agent = load(weights, method=method)
    episodes = agent.trained.selection.evaluate.episodes
    splits = agent.suite.experiment.splits
    chosen = splits.index("held_out") if task is None and "held_out" in splits else task or 0
    if not 0 <= chosen < len(splits):
        raise RadtError(f"there is no task {chosen}: allowed are 0 to {len(splits) - 1}")
    among = Path("results").resolve() in output.resolve().parents
    evaluation = evaluation_of(weights, agent.trained) if among else None
    if not isinstance(suite := agent.suite, WithPictures):
        raise RadtError(f"the suite {agent.suite.experiment.suite!r} has no pictures: film an agent of another one")
    env = agent.suite.make(np.array([chosen]))
    rows = {}
    for episode in range(episodes):
        frames = _played(agent, suite, env, drawn=episode in (0, episodes - 1))
        if frames:
            rows[f"Episode {episode + 1}"] = frames
    returns = agent.history.totals[0, :episodes].tolist()
    told = f"{agent.suite.experiment.caption(chosen)} ({splits[chosen].replace('_', '-')}): {agent.trained.method}"
    title = f"{told} returns {returns[0]:.0f} in its first episode and {returns[-1]:.0f} in episode {episodes}"
    if evaluation:
        keep("film", lambda: _drawn(rows, title), agent.trained, evaluation, ["--task", str(chosen)], output)
    else:
        artifacts.write_bytes(output, _drawn(rows, title))
    return f"{output}: {title}"


def _played(agent: TrainedAgent, suite: WithPictures, env: Any, drawn: bool) -> list[Frame]:
    """Play one episode; returns its frames if it is `drawn`."""
    frames: list[Frame] = []
    history, seen = agent.history, agent.history.columns.observation[agent.history.episode * suite.spec.horizon :].numpy()
    episode, times = history.episode, itertools.count()
    wanted = np.linspace(0, suite.spec.horizon - 1, FRAMES).round().astype(int).tolist() if drawn else []

    def look() -> None:
        if (time := next(times)) in wanted:
            total = float(history.totals[0, episode])
            frames.append((time, total, suite.picture(env, seen[: time + 1]), _read(agent)))

    agent.play(env, look)
    return frames


def _read(agent: TrainedAgent) -> str:
    """Text on what the agent reads in the present step."""
    return "\n".join(f"reads episode {part.episode + 1}\n(return {part.episode_return:.0f})" for part in agent.retrieved[0])


def _drawn(rows: dict[str, list[Frame]], title: str) -> bytes:
    """The strip as a PNG file, a row for each episode."""
    figure = Figure(figsize=(FRAMES * 1.5, 0.5 + 2.1 * len(rows)), dpi=100)
    figure.suptitle(title, fontsize=10)
    for axes_of_row, (name, frames) in zip(figure.subplots(len(rows), FRAMES, squeeze=False), rows.items(), strict=True):
        for axes in axes_of_row:
            axes.set_axis_off()
        for axes, (step, total, picture, read) in zip(axes_of_row, frames, strict=False):
            axes.imshow(picture)
            axes.set_title(f"{f'{name}, s' if not step else 'S'}tep {step}, return {total:.0f}", fontsize=7)
            axes.text(0.5, -0.03, read, transform=axes.transAxes, ha="center", va="top", fontsize=6.5)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.08, top=0.86, wspace=0.06, hspace=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
