"""Small problems that each network must solve in seconds."""

import dataclasses

import numpy as np
import torch

from helpers import GENERATE, MODEL, ROOM, random_steps
from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Trajectories
from radt.data.windows import Episodes
from radt.evaluation.agents import DtAgent
from radt.evaluation.rollout import in_context
from radt.models.decision_transformer import DecisionTransformer
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.settings.models import Optimization
from radt.suites import suite_of
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment
from radt.suites.grid.worlds import optimum
from radt.training import loop

OPTIMIZATION = Optimization(
    updates=150, batch_size=32, learning_rate=3e-3, learning_rate_last=1e-5, warmup=10, weight_decay=0.01, gradient_clip=1.0,
    precision="float32", checkpoint_every=1000, log_every=50, device="cpu",
)  # fmt: skip


def test_dt_reaches_the_optimum_of_the_one_task_that_it_was_trained_on(tmp_path):
    room = GridExperiment(world="darkroom", width=3, height=3, horizon=12, num_tasks=2, num_held_out=1, num_validation=0)
    generate = GENERATE.model_copy(update={"seed": 0, "episodes": 200, "epsilon_episodes": 100})
    episodes = Episodes(Trajectories([learn(room, generate)], {}, suite_of(room).spec))
    torch.manual_seed(0)
    settings = MODEL.model_copy(update={"window": 12})
    model = DecisionTransformer(settings, suite_of(room).spec, True, 12)

    def batch_loss(update):
        _, steps = episodes.sample(np.random.default_rng(update), OPTIMIZATION.batch_size, 12)
        return loop.action_loss(model.head, model(steps)[0], steps)

    loop.train("dt", 0, model, batch_loss, OPTIMIZATION, tmp_path, "test")
    model.eval()
    best = optimum(room)[:1]
    evaluate = Evaluate(
        episodes=1, splits=["train"], target_mean=float(best[0]), target_std=0.0, target_low=(1.0, 2.0),
        memory=Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=0.0, query_stride=1),
        methods={}, device="cpu",
    )  # fmt: skip
    history = EpisodeBuffer(1, 1, suite_of(room).spec)
    agent = DtAgent(model, settings, history)
    protocol = Protocol(model="dt", target_return="fixed", actions="greedy")
    returns = in_context(agent, history, suite_of(room), suite_of(room).make(np.array([0])), protocol, evaluate, seed=0)
    assert returns[0, 0] == best[0]


def test_radt_learns_to_read_its_context(tmp_path):
    torch.manual_seed(0)
    model = RetrievalTransformer(MODEL.model_copy(update={"width": 32, "heads": 4}), suite_of(ROOM).spec, "all", True, 6)

    def problem(seed):
        """Windows whose right action stands nowhere but in the row of the rewarded step of their context."""
        steps, context = random_steps(64, 8, seed), random_steps(64, 6, seed + 100_000)
        rewarded = torch.zeros(64, 6)
        where = torch.randint(0, 6, (64,), generator=torch.Generator().manual_seed(seed))
        rewarded[torch.arange(64), where] = 1
        context = dataclasses.replace(context, reward=rewarded).map(lambda x: x[:, None])
        answer = context.observation[:, 0, :, 0][torch.arange(64), where]
        return dataclasses.replace(steps, action=answer[:, None, None].expand(64, 8, 1)), context

    def batch_loss(update):
        steps, context = problem(update)
        return loop.action_loss(model.head, model(steps, model.read(context)), steps)

    settings = OPTIMIZATION.model_copy(update={"updates": 300})
    loop.train("radt", 0, model, batch_loss, settings, tmp_path, "test")
    model.eval()
    steps, context = problem(999_999)
    assert loop.action_loss(model.head, model(steps, model.read(context)), steps)[1] > 0.9
    assert loop.action_loss(model.head, model(steps, None), steps)[1] < 0.6
