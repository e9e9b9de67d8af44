"""Networks against Hugging Face's GPT-2 as an independent oracle, and the properties that the method needs."""

from dataclasses import replace

import pytest
import torch

from helpers import MODEL, ROOM, random_steps
from radt.data.steps import Steps, concatenate
from radt.data.trajectories import Statistics
from radt.errors import RadtError
from radt.models.blocks import LONGEST, Block, attend
from radt.models.decision_transformer import DecisionTransformer
from radt.models.embedding import sum_rows
from radt.models.observations import observation_embedding
from radt.models.retrieval_transformer import RetrievalTransformer
from radt.spaces import Numbers
from radt.suites import suite_of


@pytest.mark.parametrize("cross_attention", [False, True])
def test_block_equals_gpt2(cross_attention):
    transformers = pytest.importorskip("transformers")
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    config = transformers.GPT2Config(
        n_embd=16,
        n_head=4,
        n_layer=1,
        activation_function="gelu",
        add_cross_attention=cross_attention,
        attn_implementation="eager",
    )
    theirs = GPT2Block(config, layer_idx=0).eval()
    ours = Block(16, 4, 0.0, cross_attention).eval()
    pairs = [("self_attention.project_in", "attn.c_attn"), ("self_attention.project_out", "attn.c_proj")]
    pairs += [("mlp_in", "mlp.c_fc"), ("mlp_out", "mlp.c_proj"), ("norm_self", "ln_1"), ("norm_mlp", "ln_2")]
    if cross_attention:
        pairs += [("cross_attention.project_query", "crossattention.q_attn"), ("norm_cross", "ln_cross_attn")]
        pairs += [("cross_attention.project_context", "crossattention.c_attn")]
        pairs += [("cross_attention.project_out", "crossattention.c_proj")]
    for mine, his in pairs:
        source, target = theirs.get_submodule(his), ours.get_submodule(mine)
        torch.nn.init.normal_(source.weight)
        torch.nn.init.normal_(source.bias)
        is_norm = isinstance(target, torch.nn.LayerNorm)
        target.load_state_dict({"weight": source.weight.data if is_norm else source.weight.data.T, "bias": source.bias.data})
    x, context = torch.randn(3, 7, 16), torch.randn(3, 5, 16)
    causal = torch.full((7, 7), torch.finfo(torch.float32).min).triu(1)[None, None]
    inputs = {"encoder_hidden_states": context} if cross_attention else {}
    expected = theirs(x, attention_mask=causal, **inputs)
    expected = expected[0] if isinstance(expected, tuple) else expected
    read = None
    if cross_attention:
        read = ours.cross_attention.project(context[:, None], torch.ones(3, 1, 5, dtype=torch.bool))
    torch.testing.assert_close(ours(x, None, None, read), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["causal", "padded", "cross"])
def test_plain_attention_equals_the_fused_one(kind):
    """In bfloat16, products and gradients of the training path against torch's own attention in float32."""
    torch.manual_seed(0)
    length = 5 if kind == "cross" else 9
    query, key, value = (torch.randn(3, 2, n, 8, requires_grad=True) for n in (9, length, length))
    mask = None
    if kind != "causal":
        mask = torch.rand(3, 1, 9 if kind == "padded" else 1, length) < 0.5
        mask[..., 0] = True
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None)
    expected = expected.transpose(1, 2).flatten(2)
    gradient = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, (query, key, value), gradient)
    got = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), mask, 0.0, mask is None)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=0.03, atol=0.03)
    for one, other in zip(torch.autograd.grad(got, (query, key, value), gradient.bfloat16()), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05)


def test_attention_is_fused_where_scores_are_many_or_dropped(monkeypatch):
    seen = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def spy(*arguments, is_causal):
        seen.append(1)
        return fused(*arguments, is_causal=is_causal)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    for length, dtype, dropout, expected in (
        (LONGEST, torch.bfloat16, 0.0, 0),
        (LONGEST + 1, torch.bfloat16, 0.0, 1),
        (8, torch.bfloat16, 0.1, 1),
        (8, torch.float32, 0.0, 1),
    ):
        seen.clear()
        x = torch.randn(1, 1, length, 4, dtype=dtype)
        assert attend(x, x, x, None, dropout, True).shape == (1, length, 4)
        assert len(seen) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sums_of_rows_equal_look_ups(precision):
    torch.manual_seed(0)
    table = torch.randn(30, 16, requires_grad=True)
    rows = [torch.randint(10 * part, 10 * part + 10, (4, 7)) for part in range(3)]
    expected = sum(torch.nn.functional.embedding(row, table) for row in rows)
    gradient = torch.randn(4, 7, 16)
    (wanted,) = torch.autograd.grad(expected, table, gradient)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        found = sum_rows(table, rows)
    (got,) = torch.autograd.grad(found, table, gradient.to(found.dtype))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if precision == "float32" else {"rtol": 0.02, "atol": 0.05}
    torch.testing.assert_close(found.float(), expected, **tolerance)
    torch.testing.assert_close(got, wanted, **tolerance)


def models(tokens, shared=False):
    torch.manual_seed(0)
    settings = MODEL.model_copy(update={"tokens": tokens})
    dt = DecisionTransformer(settings, suite_of(ROOM).spec, True, settings.window).eval()
    return dt, RetrievalTransformer(settings, suite_of(ROOM).spec, "all", shared, 6).eval()


@pytest.mark.parametrize("tokens", ["step", "interleaved"])
@pytest.mark.guarantee
def test_g9_prediction_never_sees_its_action_or_the_future(tokens):
    dt, radt = models(tokens)
    steps, other = random_steps(2, 8, seed=1), random_steps(2, 8, seed=2)
    context = random_steps(2, 6, seed=3).map(lambda x: x[:, None])
    cut = 5
    mixed = concatenate([steps[:, :cut], other[:, cut:]], 1)
    changed = Steps(**{**vars(mixed), "observation": mixed.observation.clone(), "returns": mixed.returns.clone()})
    changed.observation[:, cut - 1], changed.returns[:, cut - 1] = steps.observation[:, cut - 1], steps.returns[:, cut - 1]
    changed.action[:, cut - 1] = 4 - changed.action[:, cut - 1]
    changed.reward[:, cut - 1] += 1
    torch.testing.assert_close(dt(changed)[0][:, :cut], dt(steps)[0][:, :cut])
    torch.testing.assert_close(radt(changed, radt.read(context))[:, :cut], radt(steps, radt.read(context))[:, :cut])


@pytest.mark.parametrize("tokens", ["step", "interleaved"])
def test_padding_changes_nothing(tokens):
    dt, radt = models(tokens)
    steps, junk = random_steps(2, 8, seed=1), random_steps(2, 8, seed=2)
    mask = torch.arange(8) < 5
    padded = concatenate([steps[:, :5], junk[:, 5:]], 1)
    padded = Steps(**{**vars(padded), "mask": mask.expand(2, -1)})
    torch.testing.assert_close(dt(padded)[0][:, :5], dt(steps[:, :5])[0])
    context = random_steps(2, 6, seed=3).map(lambda x: x[:, None])
    torch.testing.assert_close(radt(padded, radt.read(context))[:, :5], radt(steps[:, :5], radt.read(context)))


def test_kept_keys_and_values_give_the_same_logits():
    dt, radt = models("step")
    steps, context = random_steps(3, 8, seed=1), random_steps(3, 6, seed=2).map(lambda x: x[:, None])
    kept, kept_radt = dt.new_caches(3), radt.new_caches(3)
    one_by_one = torch.cat([dt(steps[:, t : t + 1], kept)[0] for t in range(8)], 1)
    torch.testing.assert_close(one_by_one, dt(steps)[0], rtol=1e-4, atol=1e-5)
    one_by_one = torch.cat([radt(steps[:, t : t + 1], radt.read(context), kept_radt) for t in range(8)], 1)
    torch.testing.assert_close(one_by_one, radt(steps, radt.read(context)), rtol=1e-4, atol=1e-5)
    first_half = dt.new_caches(3)
    dt(steps[:, :4], first_half)
    torch.testing.assert_close(dt(steps[:, 4:], first_half)[0], dt(steps)[0][:, 4:], rtol=1e-4, atol=1e-5)


def test_a_segment_reads_only_its_own_context():
    _, radt = models("step")
    steps = random_steps(2, 8, seed=1)
    contexts = torch.stack
    two = random_steps(2, 12, seed=2).map(lambda x: x.unflatten(1, (2, 6)))
    changed = random_steps(2, 12, seed=3).map(lambda x: x.unflatten(1, (2, 6)))
    swapped = Steps(**{k: contexts([getattr(two, k)[:, 0], getattr(changed, k)[:, 1]], 1) for k in vars(two)})
    a, b = radt(steps, radt.read(two)), radt(steps, radt.read(swapped))
    torch.testing.assert_close(a[:, :4], b[:, :4])
    assert not torch.allclose(a[:, 4:], b[:, 4:])


def test_outputs_of_each_kind_of_token_know_only_what_the_agent_knows():
    steps, other = random_steps(2, 8, seed=1), random_steps(2, 8, seed=2)
    whole, cut = models("interleaved")[0], 5
    tokens = []
    whole.norm.register_forward_hook(lambda _module, _input, output: tokens.append(output.unflatten(1, (8, 4))))
    whole(steps)
    state, returns, action, reward = tokens[0].unbind(2)
    before = [torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1) for x in (action, reward)]
    expected = {"states": state, "last": state, "returns": returns, "actions": before[0], "rewards": before[1]}
    expected["all"] = (state + returns + before[0] + before[1]) / 4
    future = replace(steps, **{name: getattr(steps, name).clone() for name in ("action", "reward")})
    future.action[:, cut - 1 :], future.reward[:, cut - 1 :] = other.action[:, cut - 1 :], steps.reward[:, cut - 1 :] + 1
    for kind, outputs in expected.items():
        whole.aggregate = kind
        torch.testing.assert_close(whole(steps)[1], outputs)
        torch.testing.assert_close(whole(future)[1][:, :cut], outputs[:, :cut])
    assert [whole.averaged(7) for whole.aggregate in ("states", "last", "all")] == [7, 1, 7]


@pytest.mark.parametrize("tokens", ["step", "interleaved"])
def test_a_step_of_a_context_shows_its_own_action_and_reward(tokens):
    _, radt = models(tokens)
    context = random_steps(2, 6, seed=2).map(lambda x: x[:, None])
    before = replace(context, previous_action=4 - context.previous_action.clamp_max(4), previous_reward=context.reward + 1)
    read = radt.read(context)[0].values
    assert torch.equal(radt.read(before)[0].values, read)
    for changed in (replace(context, action=4 - context.action), replace(context, reward=context.reward + 1)):
        assert not torch.allclose(radt.read(changed)[0].values, read, rtol=1e-3, atol=1e-5)


def test_a_masked_context_is_no_context():
    _, radt = models("step")
    steps = random_steps(2, 8, seed=1)
    context = random_steps(2, 6, seed=2).map(lambda x: x[:, None])
    empty = Steps(**{**vars(context), "mask": torch.zeros_like(context.mask)})
    torch.testing.assert_close(radt(steps, radt.read(empty)), radt(steps, None))
    assert not torch.allclose(radt(steps, radt.read(context)), radt(steps, None))


def test_scales_show_what_a_linear_layer_of_a_shared_scale_hides():
    """The sign of a number of 0.02 where the deviation is 7, which means the opposite where another number is exactly zero."""
    spec = suite_of(ROOM).spec.model_copy(update={"observation": Numbers(size=2)})
    torch.manual_seed(0)
    small, other = 0.02 * torch.randn(256).sign(), 1e-4 * torch.randn(256) * (torch.rand(256) < 0.5)
    observations, label = torch.stack([small, other], 1), ((small > 0) ^ (other == 0)).long()
    found = {}
    for numbers in ("linear", "scales"):
        place = observation_embedding(spec, MODEL.model_copy(update={"numbers": numbers}), Statistics((0.0, 0.0), (7.0, 1.0)))
        head = torch.nn.Linear(MODEL.width, 2)
        optimizer = torch.optim.Adam([*place.parameters(), *head.parameters()], 0.01)
        for _ in range(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(place.added(observations)), label).backward()
            optimizer.step()
        found[numbers] = (head(place.added(observations)).argmax(-1) == label).float().mean().item()
    assert found["scales"] > 0.95 and found["linear"] < 0.7, found


def test_scales_are_refused_without_numbers():
    with pytest.raises(RadtError, match=r"model.numbers is 'scales', but observations .* are not numbers: set it to linear"):
        observation_embedding(suite_of(ROOM).spec, MODEL.model_copy(update={"numbers": "scales"}), None)
