"""What the tests of contexts share: settings of a small world, how its queries are made, and chance."""

import numpy as np

from radt.retrieval.chunks import state_outputs, window_means
from radt.settings.retrieval import Embed, Retrieval

CHUNK, HORIZON, TASKS, EACH = 2, 8, 3, 6
EMBED = Embed(chunk_length=CHUNK, query_stride=4, batch_size=5, aggregate="states", device="cpu")


def settings(**changes):
    values = {
        "engine": "torch", "scope": "segment", "pool": "all", "k_search": 30, "max_similarity": 0.99, "k_rerank": 9,
        "weight_similarity": 1.0, "weight_task": 1.0, "weight_return": 0.5, "weight_reward": 0.25, "query_dropout": 0.0,
        "max_exact_keys": 10**6, "nprobe": 8,
        "random_before": 0, "k_context": 2, "values": "around",
    }  # fmt: skip
    return Retrieval(**{**values, **changes})


def asking(encoder):
    """Queries of scope `window`, as the training stage makes them."""

    def encode_queries(steps, episode, weight):
        return window_means(state_outputs(encoder, steps), weight.float(), steps.mask.sum(1, keepdim=True), CHUNK)[:, 0]

    return encode_queries


def chance(purpose):
    return np.random.default_rng(len(purpose))
