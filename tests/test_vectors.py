"""Float observations and several action dimensions through every stage and method, on a small environment without an optimum."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import reach
from helpers import MODEL
from radt import artifacts
from radt.data import trajectories
from radt.data.transitions import StepExperience
from radt.data.windows import Episodes
from radt.errors import RadtError
from radt.evaluation.rollout import Target
from radt.models.actions import choose
from radt.settings.evaluation import Evaluate, Protocol
from radt.settings.parsing import parse
from radt.spaces import Codes, Image, Numbers, Spec
from radt.stages import figure
from radt.suites import suite_of
from radt.suites.gymnasium.settings import GymnasiumExperiment
from stages import ROOT, Chain, configuration


def experiment(**changes):
    given = {
        "environment": reach.ID,
        "horizon": reach.HORIZON,
        "num_tasks": 8,
        "num_held_out": 2,
        "num_validation": 1,
        "action_codes": 5,
    }
    return GymnasiumExperiment(suite="gymnasium", **{**given, **changes})


def chain(folder, **changes):
    """A pipeline on it, with learning histories."""
    room, config = experiment(**changes), configuration()
    config["experiments"] = {"tiny": room.model_dump(mode="json")}
    for name in ("pretrain", "train_retrieval", "train_ad", "train_dpt"):
        config[name]["model"]["window"] = 8
    suite = suite_of(room)
    shard = reach.histories(suite, range(5))
    trajectories.write(folder / "trajectories", "tiny", suite, {"name": "scripted"}, [shard])
    return Chain(folder, config), suite, shard


@pytest.mark.parametrize("kind", ["continuous", "codes", "regression"])
def test_every_method_runs_end_to_end(tmp_path, kind):
    made, _, _ = chain(tmp_path, **({"environment": reach.ID.replace("Reach", "Grasp")} if kind == "codes" else {}))
    if kind == "regression":
        for name in ("pretrain", "train_retrieval", "train_ad", "train_dpt"):
            made.config[name]["model"] |= {"head": "regression", "tokens": "step" if name == "train_retrieval" else "interleaved"}
        made.config["embed"]["query_stride"] = 4
    for stage in (made.pretrain, made.embed, made.index, made.radt, made.ad, made.dpt):
        assert stage() == 0
    for method in ("radt", "ad", "dpt", "dt", "retrieve", "random"):
        made.evaluate(method, None if method in ("retrieve", "random") else method, f"{method}.csv")
        table = pd.read_csv(tmp_path / f"{method}.csv")
        assert len(table) == 8 * 3 and (table["return"] < 0).all() and table["optimum"].isna().all()
        again = tmp_path / f"{method}_again.csv"
        made.evaluate(method, None if method in ("retrieve", "random") else method, again.name)
        assert again.read_bytes() == (tmp_path / f"{method}.csv").read_bytes()
        again.unlink()
    given = ["--experiment", "tiny", *made.common("evaluate", "figure"), "--paper", str(ROOT / "config/paper_curves.csv")]
    files = [str(path) for path in sorted(tmp_path.glob("*.csv"))]
    trained = [str(tmp_path / name / "metrics.csv") for name in ("radt", "ad", "dpt", "dt")]
    assert figure.main([*given, "--evaluations", *files, "--metrics", *trained, "--output", str(tmp_path / "out")]) == 0
    rows = pd.read_csv(tmp_path / "out/table.csv")
    assert (rows["average"] < 0).all() and rows[["optimum", "average_ratio"]].isna().all(axis=None)


def test_histories_of_a_folder_are_imported_and_other_sources_refused(tmp_path):
    made, suite, shard = chain(tmp_path / "own")
    config = {**made.config, "trajectories": {**made.config["trajectories"], "source": "import"}}
    config["trajectories"]["import_folder"] = str(tmp_path / "own/trajectories")
    assert Chain(tmp_path, config).trajectories() == 0
    read = trajectories.read(tmp_path / "trajectories", suite)
    np.testing.assert_array_equal(read.shards[0].labels, shard.labels)
    with pytest.raises(RadtError, match=r"trajectories\.source is 'generate', which the suite 'gymnasium' does not have"):
        made.trajectories()


def test_data_come_back_and_have_statistics(tmp_path):
    _, suite, shard = chain(tmp_path)
    data = trajectories.read(tmp_path / "trajectories", suite)
    for name, values in vars(shard).items():
        np.testing.assert_array_equal(getattr(data.shards[0], name), values)
    np.testing.assert_allclose(data.statistics.mean, shard.observations.mean(0), rtol=1e-5)
    np.testing.assert_allclose(data.statistics.deviation[:2], shard.observations.std(0)[:2], rtol=1e-4)
    assert data.statistics.deviation[2] == 1.0  # a constant


def test_windows_hold_the_nearest_codes_and_numbers_as_they_are(tmp_path):
    _, suite, shard = chain(tmp_path)
    episodes = Episodes(trajectories.read(tmp_path / "trajectories", suite))
    first = episodes.first[:1]
    steps = episodes.columns.windows(first, first, first + episodes.length[:1], 4)
    np.testing.assert_array_equal(steps.observation[0], shard.observations[:4])
    distance = np.abs(shard.actions[:4, :, None] - np.linspace(-1, 1, 5))
    np.testing.assert_array_equal(steps.action[0], distance.argmin(-1))
    assert steps.previous_action[0, 0].tolist() == [5, 5] and steps.action.dtype == torch.int64


def test_codes_are_chosen_for_each_dimension_by_itself():
    logits = torch.tensor([[0.0, 2.0, 1.0, 3.0, 0.0, 1.0, 0.0, 2.0]]).expand(4000, -1)
    random = np.random.default_rng(0)
    assert (choose(logits, (3, 5), "greedy", 1.0, random) == torch.tensor([1, 0])).all()
    sampled = choose(logits, (3, 5), "sample", 1.0, random)
    for number, part in enumerate(logits[0].split((3, 5))):
        share = sampled[:, number].bincount(minlength=len(part)) / 4000
        torch.testing.assert_close(share, part.softmax(0), atol=0.03, rtol=0)
    half = choose(logits, (3, 5), "top_half", 1.0, random)
    assert set(half[:, 0].tolist()) == {1} and set(half[:, 1].tolist()) == {0, 4}


def test_targets_follow_the_best_episode_once_it_returned_enough():
    protocol = Protocol(model="radt", target_return="from_memory", actions="greedy")
    settings = parse(
        Evaluate,
        configuration()["evaluate"]
        | {"target_mean": 0.5, "target_low": [-9.0, -8.0], "target_margin": 2.0, "target_found": -4.0},
    )
    target, random = Target(protocol, settings, suite_of(experiment()).spec, 3), np.random.default_rng(0)
    for rewards, expected in (([-3.0, -5.0, -4.5], [-1.0, None, None]), ([-5.0, -3.5, -0.5], [-1.0, -1.5, 0.5])):
        target.begin(random)
        before = target.wanted.clone()
        target.receive(0, torch.tensor(rewards))
        torch.testing.assert_close(target.wanted, before - torch.tensor(rewards))
        target.finish()
        target.begin(random)
        for wanted, value in zip(target.wanted.tolist(), expected, strict=True):
            assert wanted == value if value is not None else -9.0 <= wanted <= -8.0


def test_values_of_codes_are_those_that_have_them():
    spec = suite_of(experiment(action_codes=11)).spec
    codes = np.stack([np.arange(11)] * 2, 1)
    values = spec.values(codes)
    assert values[5].tolist() == [0.0, 0.0] and values[[0, 10], 0].tolist() == [-1.0, 1.0]
    np.testing.assert_array_equal(spec.codes(values), codes)
    np.testing.assert_array_equal(spec.codes(values + 0.09), codes)


def test_dpt_learns_from_labels_and_says_when_there_are_none(tmp_path):
    _, suite, shard = chain(tmp_path)
    data = trajectories.read(tmp_path / "trajectories", suite)
    experience, random = StepExperience(data), np.random.default_rng(0)
    seen, received, labels = experience.queries(np.array([0, 4]), 50, random)
    assert seen.shape == (2, 50, 3) and received.shape == (2, 50) and labels.shape == (2, 50, 2)
    for row, task in enumerate((0, 4)):
        steps = np.repeat(shard.episode_task, np.diff(shard.episode_start)) == task
        own = {
            tuple(place): tuple(code)
            for place, code in zip(shard.observations[steps], suite.spec.codes(shard.labels[steps]), strict=True)
        }
        assert all(own[tuple(place)] == tuple(code) for place, code in zip(seen[row].numpy(), labels[row].numpy(), strict=True))
    context, number = experience.contexts(np.array([0, 4]), 60, random)
    assert number.tolist() == [60, 60] and context.ended.any() and not context.ended.all()
    del data.shards[0].__dict__["labels"]
    object.__setattr__(data.shards[0], "labels", None)
    with pytest.raises(RadtError, match="no labels, which dpt learns from"):
        StepExperience(data)


def forged(folder, **changes):
    """Change the manifest and make its checksum fit again."""
    path = folder / "trajectories/manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({**manifest, "checksum": trajectories._checksum(manifest)}), encoding="utf-8")


def test_data_that_do_not_fit_their_spec_are_refused(tmp_path):
    _, suite, _ = chain(tmp_path)
    spec = suite.spec.model_dump(mode="json")

    def refused(words, **changes):
        forged(tmp_path, **changes)
        with pytest.raises(RadtError, match=words) as caught:
            trajectories.read(tmp_path / "trajectories", suite)
        assert "\n" not in str(caught.value)
        forged(tmp_path, version=4, spec=spec, statistics=manifest["statistics"], shards=manifest["shards"])

    manifest = json.loads((tmp_path / "trajectories/manifest.json").read_text(encoding="utf-8"))
    refused("format version 3, which holds codes and one action dimension only", version=3)
    refused("has no valid spec.actions", spec={**spec, "actions": "many"})
    refused(r"was made with actions \(5, 6\), now it is \(5, 5\)", spec={**spec, "actions": [5, 6]})
    refused(
        "has no valid statistics, a mean and a deviation above 0 of 3 numbers",
        statistics={"mean": [0, 0, 0], "deviation": [1, 1, 0]},
    )
    path = tmp_path / "trajectories" / manifest["shards"][0]["file"]
    tensors = artifacts.read_tensors(path)
    whole = dict(tensors)
    for change, words in (
        (
            {"observations": whole["observations"].astype(np.float64)},
            "observations of type float64, but the experiment has float32",
        ),
        ({"actions": np.full_like(whole["actions"], 1.5)}, "has action 1.5 in dimension 0, allowed are -1 to 1"),
        ({"actions": whole["actions"][:, :1]}, "lengths do not agree"),
        ({"labels": np.full_like(whole["labels"], np.nan)}, "not finite"),
        ({"observations": np.full_like(whole["observations"], np.inf)}, "not finite"),
        ({"terminated": whole["terminated"][1:]}, "lengths do not agree"),
    ):
        artifacts.write_tensors(path, {**whole, **change})
        refused(words, shards=[{**manifest["shards"][0], "sha256": artifacts.sha256(path)}])


def test_coded_data_with_floats_and_actions_outside_their_sizes_are_refused(tmp_path):
    suite = suite_of(experiment(environment=reach.ID.replace("Reach", "Grasp")))
    shard = reach.histories(suite, range(5))
    wrong = shard.actions.copy()
    wrong[3, 1] = 5
    with pytest.raises(RadtError, match="has action 5 in dimension 1, allowed are 0 to 4"):
        trajectories.write(tmp_path, "tiny", suite, {}, [type(shard)(**{**vars(shard), "actions": wrong})])


def test_specs_that_make_no_sense_are_refused():
    base = {"observation": Numbers(size=2), "rewards": suite_of(experiment()).spec.rewards, "horizon": 3}
    for changes, words in (
        ({"actions": (5, 5), "low": (0.0,), "high": (1.0,)}, "one of each for all 2 actions"),
        ({"actions": (5,), "low": (0.0,)}, "one of each"),
        ({"actions": (5,), "low": (1.0,), "high": (1.0,)}, "low < high"),
        ({"actions": ()}, "at least 1"),
        ({"actions": (256,)}, "less than 256"),
    ):
        with pytest.raises(ValueError, match=words):
            Spec(**base, **changes)
    with pytest.raises(ValueError, match="less than or equal to 256"):
        Codes(sizes=(257,))


def test_small_images_are_refused_by_networks():
    from radt.models.observations import observation_embedding

    spec = suite_of(experiment()).spec.model_copy(update={"observation": Image(height=4, width=4, channels=3)})
    with pytest.raises(RadtError, match="images are 4x4, allowed are 36x36 and larger"):
        observation_embedding(spec, MODEL, None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nothing-v0", "cannot make the environment 'Nothing-v0'"),
        ("nowhere_at_all:Nothing-v0", "needs the module nowhere_at_all, which is not there: check its spelling"),
        ("CartPole-v1", "cannot make the environment 'CartPole-v1'"),
    ],
)
def test_environments_that_cannot_be_made(name, words):
    with pytest.raises(RadtError, match=words):
        suite_of(experiment(environment=name)).spec  # noqa: B018
