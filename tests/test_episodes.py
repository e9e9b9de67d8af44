"""`python -m radt episodes`: it plays as the evaluation did, keeps what was done and read, and refuses in a sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import radt
from project import ROOT, run
from radt.commands import record, verify
from radt.commands.episodes import episodes
from radt.commands.explain import explain
from radt.commands.film import film
from radt.commands.report import report
from radt.errors import RadtError
from radt.report.gallery import Recorded
from radt.suites import suite_of
from radt.suites.grid import room
from radt.suites.grid.engine import best_actions
from radt.suites.grid.settings import GridExperiment

WEIGHTS = Path("results/darkroom/train/radt/seed42")
FILE = Path("results/darkroom/episodes/radt_seed42.json")


@pytest.fixture(scope="module")
def project(made, tmp_path_factory):
    """A project whose episodes of RA-DT are kept."""
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("episodes") / "copy"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        told = episodes(WEIGHTS, [], None)
    assert told.startswith(f"{FILE}, ") and told.endswith("of radt; returns are those of the evaluation")
    return folder


@pytest.fixture
def here(project, monkeypatch):
    """The same as the present folder."""
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def kept(here):
    """What is kept."""
    return Recorded.model_validate_json(FILE.read_bytes())


def test_returns_are_those_of_the_evaluation(kept):
    table = pd.read_csv("results/darkroom/evaluate/radt/seed42.csv")
    assert kept.as_evaluated and (kept.experiment, kept.method, kept.seed) == ("darkroom", "radt", 42)
    assert [task.task for task in kept.tasks] == table.query("split == 'held_out'")["task"].unique()[:3].tolist()
    for task in kept.tasks:
        assert task.returns == table[table["task"] == task.task]["return"].tolist() and task.split == "held_out"
        assert {0, len(task.returns) - 1} < set(task.shown) <= task.episodes.keys()
        assert all(sum(task.episodes[number].rewards) == task.returns[number] for number in task.shown)


def test_actions_and_what_is_read_are_those_of_a_loaded_agent(kept):
    """All tasks of the evaluation at once, through `radt.load`."""
    tasks = pd.read_csv("results/darkroom/evaluate/radt/seed42.csv")["task"].unique().tolist()
    agent = radt.load(WEIGHTS, environments=len(tasks))
    env = agent.suite.make(np.array(tasks))
    compared = 0
    for episode in range(len(kept.tasks[0].returns)):
        seen, _ = env.reset()
        agent.begin()
        for step in range(agent.suite.spec.horizon):
            actions = agent.act(seen)
            for task in (task for task in kept.tasks if episode in task.shown):
                row, own = tasks.index(task.task), task.episodes[episode]
                assert own.actions[step] == [actions[row]] and own.cells[step] == seen[row] @ [5, 1]
                read = [parts for begin, parts in own.read if begin <= step][-1:] or [[]]
                expected = [(one.episode, one.first, one.end, one.similarity, one.score) for one in agent.retrieved[row]]
                np.testing.assert_allclose(read[0], expected, rtol=1e-3)
                compared += len(expected)
            seen, reward, terminated, truncated, _ = env.step(actions)
            agent.receive(reward, terminated | truncated)
    assert compared > 100


def test_the_same_call_makes_the_same_bytes_and_a_record_tells_how(here):
    before = FILE.read_bytes()
    assert len(before) < 10_000
    episodes(WEIGHTS, [], None)
    assert FILE.read_bytes() == before and verify.verify(Path("results")) == []
    told = explain(FILE)
    assert FILE.as_posix() in told and any(
        "radt.commands.episodes --weights results/darkroom/train/radt" in line for line in told
    )


def test_tasks_and_the_method_can_be_chosen(copy, monkeypatch):
    monkeypatch.chdir(copy)
    episodes(WEIGHTS, [3, 21, 3], "radt_fixed")
    kept = Recorded.model_validate_json(FILE.with_name("radt_fixed_seed42.json").read_bytes())
    assert [task.task for task in kept.tasks] == [3, 21] and kept.as_evaluated
    episodes(Path("results/darkroom/train/ad/seed42"), [21], None)
    kept = Recorded.model_validate_json(FILE.with_name("ad_seed42.json").read_bytes())
    assert not any(own.read for own in kept.tasks[0].episodes.values()) and kept.as_evaluated


def test_what_other_code_has_evaluated_is_told(copy, monkeypatch):
    """The returns of another machine, for which a changed answer of the agent stands here."""
    monkeypatch.chdir(copy)
    choose = radt.evaluation.rollout.choose
    monkeypatch.setattr("radt.evaluation.rollout.choose", lambda *given: choose(*given).flip(0))
    assert "some returns, as on another machine or device, are not those of the evaluation" in episodes(WEIGHTS, [], None)
    assert not json.loads(FILE.read_bytes())["as_evaluated"]


def test_copies_are_recorded_and_reported(here):
    record.summarize(Path("results"), "darkroom")
    copies = Path("results/recorded")
    assert (copies / "darkroom/episodes" / FILE.name).read_bytes() == FILE.read_bytes()
    assert verify.verify(copies) == []
    before = {path for path in copies.rglob("*") if path.is_file()}
    record._forget(["darkroom"], record._keep(Path("results/darkroom/figure.pdf")))
    assert {path for path in copies.rglob("*") if path.is_file()} == before
    report(copies, Path("report.html"))
    assert 'class="gallery"' in Path("report.html").read_text(encoding="utf-8")
    shutil.rmtree(copies)


def test_episodes_of_an_evaluation_that_was_made_again_are_found(copy, monkeypatch):
    monkeypatch.chdir(copy)
    episodes(WEIGHTS, [], None)
    made = FILE.with_name("radt_seed42.provenance.json")
    values = json.loads(made.read_text(encoding="utf-8"))
    values["inputs"]["results/darkroom/evaluate/radt/seed42.csv"] = "0" * 64
    values.pop("checksum")
    radt.artifacts.write_checked_json(made, values)
    (told,) = verify.verify(Path("results"))
    assert told.endswith("evaluate/radt/seed42.csv, which has changed since: run python -m radt episodes")


def test_a_film_among_results_has_a_record(copy, monkeypatch):
    monkeypatch.chdir(copy)
    film(WEIGHTS, None, None, Path("results/darkroom/film.png"))
    assert verify.verify(Path("results")) == []
    record.summarize(Path("results"), "darkroom")
    assert Path("results/recorded/darkroom/film.png").read_bytes() == Path("results/darkroom/film.png").read_bytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nosuch"], "nosuch is not there: give a folder such as"),
        (["results/darkroom"], "results/darkroom has no trained network"),
        ([str(WEIGHTS), "--task", "99"], "task 99 was not evaluated: allowed are 0, 1, 2, "),
        ([str(WEIGHTS), "--method", "ad"], "has no evaluation 'ad' (it was evaluated as radt, radt_fixed)"),
    ],
)
def test_what_is_not_there_gives_one_sentence_and_status_1(here, given, words):
    before = FILE.read_bytes()
    status, text = run(["python", "-m", "radt", "episodes", *given], here)
    assert status == 1 and text.startswith("error: ") and words in text and text.count("\n") == 1
    assert FILE.read_bytes() == before


def test_agents_of_elsewhere_are_refused(here, tmp_path, monkeypatch):
    radt.load(WEIGHTS).save(tmp_path / "saved")
    with pytest.raises(RadtError, match="is a saved agent, without its evaluation: name a network among the results"):
        episodes(tmp_path / "saved", [], None)
    monkeypatch.chdir(ROOT)
    with pytest.raises(RadtError, match="is not among the results of this folder: go to "):
        episodes(here / WEIGHTS, [], None)


@pytest.mark.parametrize("world", ["darkroom", "keydoor", "mazerunner"])
def test_the_way_through_a_world_leads_over_free_cells_to_what_pays(world):
    """Of the best actions, but for a third that are random: a cell after each step, rewards only where a mark is."""
    side = 15 if world == "mazerunner" else 4
    own = GridExperiment(world=world, width=side, height=side, horizon=60, num_tasks=12, num_held_out=2, num_validation=0)
    suite, random, paid = suite_of(own), np.random.default_rng(0), 0
    for task in range(12):
        env, told = suite.make(np.array([task])), room.room(own, task)
        seen, actions, rewards, ended = [suite.seen(env.reset()[0])[0]], [], [], False
        while not ended:
            best = best_actions(env.tables)[0, env.state[0]]
            actions.append([random.integers(5) if random.random() < 1 / 3 else best])
            observation, reward, terminated, truncated, _ = env.step(actions[-1])
            rewards.append(float(reward[0]))
            ended = bool(terminated[0] or truncated[0])
            seen.append(suite.seen(observation)[0])
        way = room.cells(own, task, np.stack(seen[:-1]), np.array(actions, np.uint8))
        assert len(way) == len(actions) + 1 and not set(way) & set(told["walls"])
        names, moves = room.actions(own), {"north": -side, "east": 1, "south": side, "west": -1, "stay": 0}
        steps = zip(way, way[1:], actions, rewards, strict=False)
        for before, after, (action,), reward in steps:
            assert after in (before, before + moves[names[action]])
            assert not reward or {after, before} & {cell for _, cell in told["marks"]}  # a key may lie at the start
        paid += sum(rewards)
    assert paid and told["marks"][0][0] in ("goal", "key", "goal 1")
