"""Film strips: of what a trained agent does in one task."""

from contextlib import suppress

import matplotlib.image
import numpy as np
import pytest

import radt
from helpers import alone
from radt.commands.film import film
from radt.errors import RadtError
from radt.suites import suite_of
from radt.suites.grid.mazerunner import maze as maze_of
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.suite import AGENT, PAYS, TRAIL, WALL
from test_robots import REACH, REACHER, experiment


def colours(picture, experiment):
    """The colour of each cell [rows, columns] of a picture of a grid world."""
    scale = picture.shape[0] // experiment.height
    assert picture.shape == (experiment.height * scale, experiment.width * scale, 3)
    return [[tuple(cell) for cell in row] for row in picture[::scale, ::scale].tolist()]


def test_a_picture_of_a_room_shows_agent_trail_and_goal():
    room = GridExperiment(world="darkroom", width=4, height=3, horizon=9, num_tasks=12, num_held_out=2, num_validation=0)
    suite = suite_of(room)
    x, y = suite.tasks()[0].description["goal"]
    env = suite.make(np.array([0]))
    seen = [suite.seen(env.reset()[0])[0]]
    for action in (1, 2):  # east, south
        seen.append(suite.seen(env.step([action])[0])[0])
    cells = colours(suite.picture(env, np.stack(seen)), room)
    expected = [[(255, 255, 255)] * 4 for _ in range(3)]
    expected[0][0] = expected[0][1] = TRAIL
    expected[y][x] = PAYS
    expected[1][1] = AGENT
    assert cells == expected


def test_a_picture_of_a_maze_shows_its_walls():
    maze = GridExperiment(world="mazerunner", width=15, height=15, horizon=40, num_tasks=3, num_held_out=1, num_validation=0)
    suite = suite_of(maze)
    env = suite.make(np.array([1]))
    cells = colours(suite.picture(env, suite.seen(env.reset()[0])), maze)
    assert all(cell == WALL for cell in cells[0]) and cells[13][7] == AGENT
    assert sum(row.count(PAYS) for row in cells) in (1, 2, 3)
    walls, _ = maze_of(int(suite.tasks()[1].description["seed"]))
    assert [[cell == WALL for cell in row] for row in cells] == (walls == 1).tolist()


def test_a_film_of_the_first_held_out_task(made, tmp_path):
    output = tmp_path / "film.png"
    told = film(made / "results/darkroom/train/radt/seed42", None, None, output)
    agent = radt.load(made / "results/darkroom/train/radt/seed42")
    episodes, task = agent.trained.selection.evaluate.episodes, agent.suite.experiment.splits.index("held_out")
    returns = alone(agent, agent.suite.environment(task), episodes)
    ends = f"returns {returns[0]:.0f} in its first episode and {returns[-1]:.0f} in episode {episodes}"
    assert f", task {task} (held-out): radt {ends}" in told
    assert matplotlib.image.imread(output).shape[2] == 4
    before = output.read_bytes()
    assert film(made / "results/darkroom/train/radt/seed42", None, None, output) == told and output.read_bytes() == before
    with pytest.raises(RadtError, match="there is no task 99: allowed are 0 to"):
        film(made / "results/darkroom/train/radt/seed42", 99, None, output)


@pytest.mark.parametrize("given", [REACHER, REACH], ids=["dmcontrol", "metaworld"])
def test_robots_are_drawn_without_a_display_or_refused_in_a_sentence(given, monkeypatch):
    suite = suite_of(experiment(given))
    env = suite.make(np.array([0]))
    env.reset()
    with suppress(RadtError):  # where there is no EGL
        picture = suite.picture(env, np.zeros((1, 3)))
        assert picture.shape == (240, 240, 3) and picture.dtype == np.uint8 and picture.std() > 10
    with pytest.raises(RadtError, match="do without pictures: nothing else needs them"):
        monkeypatch.setattr(type(env.unwrapped.envs[0]), "picture", lambda robot, pixels: 1 / 0)
        suite.picture(env, np.zeros((1, 3)))
