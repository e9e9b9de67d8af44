"""The Decision-Pretrained Transformer: what a query may see, what contexts hold, and that it learns to read them."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers import GENERATE, MODEL
from radt import seeding
from radt.data.episodes import EpisodeBuffer
from radt.data.trajectories import Trajectories
from radt.data.transitions import Transitions
from radt.evaluation.dpt_agent import DptAgent
from radt.evaluation.rollout import in_context
from radt.models.decision_pretrained import DecisionPretrainedTransformer
from radt.settings.evaluation import Evaluate, Memory, Protocol
from radt.settings.models import Optimization, TrainDpt
from radt.suites import suite_of
from radt.suites.grid import worlds
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.experience import NEVER, REWARDS, TableExperience, cells, draw, kinds, phase
from radt.suites.grid.qlearning import learn
from radt.suites.grid.settings import GridExperiment
from radt.suites.transitions import recollection
from radt.training import loop
from radt.training.decision_pretrained import loss_of

ROOMS = {
    "darkroom": GridExperiment(world="darkroom", width=4, height=3, horizon=12, num_tasks=10, num_held_out=2, num_validation=0),
    "keydoor": GridExperiment(world="keydoor", width=4, height=3, horizon=16, num_tasks=8, num_held_out=2, num_validation=0),
    "mazerunner": GridExperiment(
        world="mazerunner", width=15, height=15, horizon=80, num_tasks=6, num_held_out=2, num_validation=0
    ),
}
HISTORY = GENERATE.model_copy(update={"seed": 0, "episodes": 40, "epsilon_episodes": 30})
CONTEXT, QUERIES, BATCH = 9, 6, 3


def network(room, **changes):
    torch.manual_seed(0)
    model = DecisionPretrainedTransformer(MODEL.model_copy(update=changes), suite_of(room).spec).eval()
    for parameter in model.parameters():  # as initialised, contexts hardly change the logits
        parameter.data.mul_(3.0)
    return model


def random_transitions(room, seed):
    g = torch.Generator().manual_seed(seed)
    size = (BATCH, CONTEXT)

    def places():
        return torch.stack([torch.randint(0, n, size, generator=g) for n in suite_of(room).spec.observation.sizes], -1)

    return Transitions(
        places(),
        torch.randint(0, suite_of(room).spec.rewards.phases, size, generator=g),
        torch.randint(0, ACTIONS, (*size, 1), generator=g),
        torch.randint(0, 2, size, generator=g).float(),
        places(),
        torch.rand(size, generator=g) < 0.2,
    )


def random_queries(room, seed, count=QUERIES):
    """What is seen [B, count, D] and what was received [B, count]."""
    g = torch.Generator().manual_seed(seed)
    seen = torch.stack([torch.randint(0, n, (BATCH, count), generator=g) for n in suite_of(room).spec.observation.sizes], -1)
    return seen, torch.randint(0, suite_of(room).spec.rewards.phases, (BATCH, count), generator=g)


def mixed(first, second, cut):
    """The first `cut` transitions of `first`, then those of `second`."""
    parts = (torch.cat([getattr(first, f.name)[:, :cut], getattr(second, f.name)[:, cut:]], 1) for f in dataclasses.fields(first))
    return Transitions(*parts)


@pytest.mark.parametrize("world", ROOMS)
def test_a_query_reads_the_beginning_of_its_context_and_no_other_query(world):
    room = ROOMS[world]
    model, one, other = network(room), random_transitions(room, 0), random_transitions(room, 1)
    asked, read = random_queries(room, 2), torch.tensor([0, 1, 4, 4, 8, 9]).expand(BATCH, -1)
    logits = model(*asked, model.encode(one, QUERIES), read)
    later = model(*asked, model.encode(mixed(one, other, 4), QUERIES), read)
    torch.testing.assert_close(later[:, :4], logits[:, :4], rtol=1e-4, atol=1e-5)
    assert (later[:, 4:] - logits[:, 4:]).abs().amax(-1).min() > 1e-3
    changed = [torch.cat([mine[:, :3], other[:, 3:]], 1) for mine, other in zip(asked, random_queries(room, 3), strict=True)]
    others = model(*changed, model.encode(one, QUERIES), read)
    torch.testing.assert_close(others[:, :3], logits[:, :3], rtol=1e-4, atol=1e-5)
    each = [[part[:, [q]] for part in asked] for q in range(QUERIES)]
    alone = torch.cat([model(*query, model.encode(one, 1), read[:, [q]]) for q, query in enumerate(each)], 1)
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)


def test_a_context_of_one_block_is_a_set_and_one_of_two_is_read_in_order():
    """Tokens have no positions: with one block the order is nothing; with more, later tokens have read the earlier ones."""
    room = ROOMS["darkroom"]
    context, order = random_transitions(room, 0), torch.randperm(CONTEXT, generator=torch.Generator().manual_seed(0))
    shuffled = context[:, order]
    asked, read = random_queries(room, 1), torch.full((BATCH, QUERIES), CONTEXT)
    for layers, same in ((1, True), (2, False)):
        model = network(room, layers=layers)
        logits = [model(*asked, model.encode(part, QUERIES), read) for part in (context, shuffled)]
        assert torch.allclose(*logits, rtol=1e-4, atol=1e-5) == same


def test_a_memory_can_be_read_again():
    room = ROOMS["mazerunner"]
    model = network(room)
    memory = model.encode(random_transitions(room, 0), 1)
    read = torch.full((BATCH, 1), CONTEXT)
    first, second = random_queries(room, 1, 1), random_queries(room, 2, 1)
    before = model(*first, memory, read)
    model(*second, memory, read)
    assert torch.equal(model(*first, memory, read), before)


def test_gradients_in_bfloat16_are_those_in_float32():
    room = ROOMS["keydoor"]
    context, asked = random_transitions(room, 0), random_queries(room, 1)
    read = torch.tensor([0, 2, 4, 6, 8, 9]).expand(BATCH, -1)
    gradients = []
    for precise in (True, False):
        model = network(room).train()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            logits = model(*asked, model.encode(context, QUERIES), read)
        torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), torch.arange(BATCH * QUERIES) % ACTIONS).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


@pytest.mark.parametrize("world", ROOMS)
def test_contexts_are_what_the_learner_had_seen(world):
    """Against a replay of the history with sets of tuples, in the environment."""
    room = ROOMS[world]
    shard = learn(room, HISTORY)
    experience = TableExperience(Trajectories([shard], {}, suite_of(room).spec), room)
    for row, task in enumerate(experience.tasks.tolist()):
        env = worlds.make(room, np.array([task]))
        seen, states = {}, set()
        for episode, number in enumerate(np.flatnonzero(shard.episode_task == task)):
            env.reset()
            steps = range(shard.episode_start[number], shard.episode_start[number + 1])
            for step in steps:
                states.add(int(env.state[0]))
                before = (*env.codes[0].tolist(), int(env.state[0]) // cells(room))
                action = int(shard.actions[step, 0])
                _, reward, terminated, _, _ = env.step(np.array([action]))
                after = None if terminated[0] else tuple(env.codes[0].tolist())
                if step < steps[-1] or reward[0] > 0:
                    seen.setdefault((before, action, float(reward[0]), after), episode)
        assert set(experience.states[row, : experience.visited[row]].tolist()) == states
        assert (experience.first_seen[row] < NEVER).sum() == len(seen)
        for random in range(3):
            context, number = experience.contexts(np.array([row]), 400, seeding.generator(random, "test"))
            found = as_tuples(context, int(number[0]))
            assert len(set(found)) == len(found)
            latest = max(seen[one] for one in found)
            assert set(found) == {one for one, episode in seen.items() if episode <= latest}


def as_tuples(context, number, row=0):
    """The real transitions of one context as ((*observation, phase), action, reward, next observation or None)."""
    return [
        (
            (*context.observation[row, place].tolist(), int(context.received[row, place])),
            int(context.action[row, place]),
            float(context.reward[row, place]),
            None if context.ended[row, place] else tuple(context.following[row, place].tolist()),
        )
        for place in range(number)
    ]


@pytest.mark.parametrize("world", ROOMS)
def test_labels_lead_the_shortest_way_to_the_next_reward(world):
    """Against a breadth-first search from every visited true state."""
    room = ROOMS[world]
    experience = TableExperience(Trajectories([learn(room, HISTORY)], {}, suite_of(room).spec), room)
    env = worlds.make(room, experience.tasks)
    rows = np.arange(len(experience.tasks))
    seen, phases, asked = experience.queries(rows, 200, np.random.default_rng(0))
    for row in rows:
        following, reward = (part[env.rows[row]].tolist() for part in (env.tables.following, env.tables.reward))
        states = experience.states[row, : experience.visited[row]].tolist()
        visited = experience.states[row, : experience.visited[row]]
        known = zip(
            experience.codes[row, visited].tolist(), visited.tolist(), experience.actions[row, visited].tolist(), strict=True
        )
        drawn = zip(seen[row].tolist(), phases[row].tolist(), asked[row, :, 0].tolist(), strict=True)
        assert {(*place, held, action) for place, held, action in drawn} <= {
            (*place, state // cells(room), action) for place, state, action in known
        }
        for state in states:
            wanted = distance(state, following, reward)
            if wanted is not None:
                action = experience.actions[row, state]
                left = 0 if reward[state][action] else distance(following[state][action], following, reward)
                assert left == wanted - 1


def distance(state, following, reward):
    """Fewest steps from a state to a reward; None: there is no way."""
    reached, layer, steps = {state}, [state], 0
    while layer:
        steps += 1
        if any(max(reward[one]) > 0 for one in layer):
            return steps
        layer = {after for one in layer for after in following[one]} - reached
        reached |= layer
    return None


def test_draw_keeps_rewarded_transitions_and_fills_up_uniformly():
    known = np.zeros((2, 40 * REWARDS), np.bool_)
    known[0, ::REWARDS] = True  # 40 unrewarded ones
    known[0, [4, 31, 62]] = True  # and three that paid
    known[1, [0, 3, 7]] = True
    counts = np.zeros(known.shape[1])
    for step in range(300):
        kind, number = draw(known, 10, seeding.generator(0, "test", step))
        assert number.tolist() == [10, 3]
        assert {4, 31, 62} <= set(kind[0].tolist())
        assert len(set(kind[0].tolist())) == 10
        assert set(kind[1, :3].tolist()) == {0, 3, 7}
        np.add.at(counts, kind[0], 1)
    rest = counts[::REWARDS]
    assert rest.sum() == 300 * 7
    assert rest.min() > 25 and rest.max() < 85  # 52.5 expected
    everything, number = draw(known, 1000, seeding.generator(0, "test"))
    assert number.tolist() == [43, 3]
    assert set(everything[0, :43].tolist()) == set(np.flatnonzero(known[0]).tolist())


@pytest.mark.parametrize("world", ROOMS)
def test_agent_reads_what_its_finished_episodes_brought(world):
    room, random, episodes = ROOMS[world], np.random.default_rng(0), 2
    tasks = np.arange(room.num_tasks)
    env = worlds.make(room, tasks)
    best = worlds.optimal_actions(env).astype(np.int64)
    history = EpisodeBuffer(room.num_tasks, episodes + 1, suite_of(room).spec)
    agent = DptAgent(network(room), 400, recollection(room, history), history, 0)
    seen = [set() for _ in range(room.num_tasks)]
    for episode in range(episodes):
        agent.begin()
        env.reset()
        for time in range(room.horizon):
            running, before, phases = history.running.clone(), env.codes, env.state // cells(room)
            history.observe(time, torch.from_numpy(before), torch.zeros(room.num_tasks))
            state = env.state
            action = best[tasks, state] if episode else random.integers(0, ACTIONS, room.num_tasks)
            _, reward, terminated, truncated, _ = env.step(action)
            after = env.tables.codes[env.rows, env.tables.following[env.rows, state, action]]
            history.act(
                time, torch.from_numpy(action)[:, None], torch.from_numpy(reward), torch.from_numpy(terminated | truncated)
            )
            for task in np.flatnonzero(running):
                if reward[task] > 0 or not truncated[task]:
                    end = None if terminated[task] or truncated[task] else tuple(after[task].tolist())
                    place = (*before[task].tolist(), int(phases[task]))
                    seen[task].add((place, int(action[task]), float(reward[task]), end))
        history.finish()
        agent.finish()
    context, number = agent.choose()
    for task in range(room.num_tasks):
        found = as_tuples(context, int(number[task]), task)
        assert len(found) == len(set(found))
        # a goal that ends the episode in its last step may be known either way
        assert {one[:3] for one in found} == {one[:3] for one in seen[task]}
        assert set(found) <= seen[task]


def test_kept_memory_gives_the_logits_of_encoding_anew():
    room = ROOMS["keydoor"]
    env, random = worlds.make(room, np.arange(room.num_tasks)), np.random.default_rng(0)
    history = EpisodeBuffer(room.num_tasks, 3, suite_of(room).spec)
    model = network(room)
    agent = DptAgent(model, 12, recollection(room, history), history, seed=5)
    for episode in range(3):
        agent.begin()
        context, number = agent.choose()
        assert (number > 0).all() == (episode > 0)
        memories = [model.encode(context[[task], : max(1, n)], 1) for task, n in enumerate(number.tolist())]
        env.reset()
        for time in range(room.horizon):
            history.observe(time, torch.from_numpy(env.codes), torch.zeros(room.num_tasks))
            asked = [torch.from_numpy(part)[:, None] for part in (env.codes.astype(np.int64), env.state // cells(room))]
            anew = [
                model(*(part[[task]] for part in asked), memories[task], number[[task], None]) for task in range(room.num_tasks)
            ]
            torch.testing.assert_close(agent.logits(time), torch.cat(anew)[:, 0], rtol=1e-4, atol=1e-4)
            action = random.integers(0, ACTIONS, room.num_tasks)
            _, reward, terminated, truncated, _ = env.step(action)
            history.act(
                time, torch.from_numpy(action)[:, None], torch.from_numpy(reward), torch.from_numpy(terminated | truncated)
            )
        history.finish()
        agent.finish()


def test_it_learns_to_find_the_goal_that_its_context_shows(tmp_path):
    room = GridExperiment(world="darkroom", width=3, height=3, horizon=16, num_tasks=9, num_held_out=2, num_validation=0)
    optimization = Optimization(
        updates=500, batch_size=16, learning_rate=3e-3, learning_rate_last=1e-5, warmup=10, weight_decay=0.01, gradient_clip=1.0,
        precision="float32", checkpoint_every=1000, log_every=20, device="cpu",
    )  # fmt: skip
    settings = MODEL.model_copy(update={"width": 32})
    training = TrainDpt(model=settings, optimization=optimization, context=45, queries=16)
    experience = TableExperience(Trajectories([learn(room, HISTORY)], {}, suite_of(room).spec), room)
    torch.manual_seed(0)
    model = DecisionPretrainedTransformer(settings, suite_of(room).spec)

    def batch_loss(update):
        return loss_of(model, experience, training, optimization.batch_size, np.random.default_rng(update))

    metrics = loop.train("dpt", 0, model, batch_loss, optimization, tmp_path, "test")
    losses = [float(line.split(",")[3]) for line in metrics.splitlines()[1:]]
    assert losses[-1] < 0.75 * losses[0]
    model.eval()
    tasks = np.arange(7)
    evaluate = Evaluate(
        episodes=12, splits=["train"], target_mean=1.0, target_std=0.0, target_low=(1.0, 2.0),
        memory=Memory(k_rerank=5, weight_similarity=1.0, weight_return=1.0, weight_reward=1.0, query_stride=1),
        methods={}, device="cpu",
    )  # fmt: skip
    history = EpisodeBuffer(len(tasks), 12, suite_of(room).spec)
    protocol = Protocol(model="dpt", target_return="none", actions="sample")
    agent = DptAgent(model, 45, recollection(room, history), history, 0)
    returns = in_context(agent, history, suite_of(room), suite_of(room).make(tasks), protocol, evaluate, 0)
    assert returns[:, -3:].mean() > 0.7 * worlds.optimum(room)[tasks].mean()
    assert returns[:, -3:].mean() > returns[:, 0].mean() + 2


@pytest.mark.parametrize("world", ["darkroom", "keydoor"])
def test_kinds_tell_transitions_apart(world):
    room = ROOMS[world]
    parts = np.meshgrid(range(3), range(4), range(suite_of(room).spec.rewards.phases), range(ACTIONS), range(REWARDS))
    y, x, received, action, reward = (part.ravel() for part in parts)
    place = np.stack([y, x], 1).astype(np.uint8)
    found = kinds(room, place, received.astype(np.float32), action.astype(np.uint8), reward.astype(np.float32))
    assert sorted(found.tolist()) == list(range(cells(room) * suite_of(room).spec.rewards.phases * ACTIONS * REWARDS))


@pytest.mark.parametrize("world", ROOMS)
def test_phases_are_the_states_of_a_cell_and_what_was_received(world):
    room = ROOMS[world]
    env = worlds.make(room, np.arange(room.num_tasks))
    assert env.states == suite_of(room).spec.rewards.phases * cells(room)
    random, received = np.random.default_rng(0), np.zeros(room.num_tasks, np.float32)
    env.reset()
    for _ in range(room.horizon - 1):
        assert (phase(room, received) == env.state // cells(room)).all()
        _, reward, terminated, _, _ = env.step(random.integers(0, ACTIONS, room.num_tasks))
        received = np.where(terminated, 0, received + reward)


def test_the_key_in_hand_changes_the_answer():
    room = ROOMS["keydoor"]
    model, context = network(room), random_transitions(room, 0)
    seen, _ = random_queries(room, 1)
    read = torch.full((BATCH, QUERIES), CONTEXT)
    without, with_key = (
        model(seen, torch.full_like(seen[..., 0], held), model.encode(context, QUERIES), read) for held in range(2)
    )
    assert (without - with_key).abs().amax(-1).min() > 1e-3
