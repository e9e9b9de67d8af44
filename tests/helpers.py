"""Small rooms, networks and data that several tests use."""

import pytest
import torch

from radt.data.steps import Steps
from radt.settings.models import Model
from radt.settings.sources import Generate
from radt.suites import suite_of
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.settings import GridExperiment

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
ROOM = GridExperiment(world="darkroom", width=4, height=3, horizon=8, num_tasks=10, num_held_out=2, num_validation=0)
GENERATE = Generate(
    seed=7, histories=1, episodes=5, learning_rate=0.5, discount=0.9, epsilon_first=1.0, epsilon_last=0.0, epsilon_episodes=4,
    initial_value=0.0, sweeps=0,
)  # fmt: skip
SPEC = suite_of(ROOM).spec
MODEL = Model(tokens="step", width=16, layers=2, heads=2, dropout=0.0, window=8, return_bin=1)


def random_steps(batch, length, seed):
    """[batch, length] steps of random content, all real."""
    g = torch.Generator().manual_seed(seed)
    size = (batch, length)
    action, reward = torch.randint(0, ACTIONS, (*size, 1), generator=g), torch.randint(0, 2, size, generator=g).float()
    return Steps(
        observation=torch.stack([torch.randint(0, n, size, generator=g) for n in (ROOM.height, ROOM.width)], -1),
        returns=torch.randint(0, 9, size, generator=g).float(),
        previous_action=torch.cat([torch.full((batch, 1, 1), ACTIONS), action[:, :-1]], 1),
        previous_reward=torch.cat([torch.zeros(batch, 1), reward[:, :-1]], 1),
        received=torch.cat([torch.zeros(batch, 1), reward[:, :-1].cumsum(1)], 1),
        action=action,
        reward=reward,
        time=torch.arange(length).expand(size) % ROOM.horizon,
        mask=torch.ones(size, dtype=torch.bool),
    )


def tiny_bert(folder, words=50, width=16):
    """A BERT of random weights that is written to a folder."""
    from transformers import BertConfig, BertModel  # takes seconds

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    model = BertModel(config).eval()
    model.save_pretrained(folder)
    return model


def alone(agent, env, episodes):
    """Returns [episodes] of one environment, as the page on agents shows it."""
    returns = []
    for _ in range(episodes):
        observation, _ = env.reset()
        agent.begin()
        total, done = 0.0, False
        while not done:
            action = agent.act(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            agent.receive(reward, done)
            total += reward
        returns.append(total)
    return returns
