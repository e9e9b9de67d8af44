"""Train with all four methods on a tiny room, in ranks: `python -m radt.training.torchrun 3 python FILE FOLDER`.

float32, no dropout, batches that no number of ranks divides, and windows of the DT of different lengths.
"""

import sys
from pathlib import Path

from radt.interruption import Interruption
from radt.machine import rank, world_size
from radt.training import ranks
from stages import Chain, configuration

STAGES = ("pretrain", "radt", "ad", "dpt")


def chain(folder, count):
    """The trainings in so many ranks."""
    config = configuration()
    for name in ("pretrain", "train_retrieval", "train_ad", "train_dpt"):
        config[name]["optimization"] |= {"precision": "float32", "batch_size": 7, "ranks": count}
    config["pretrain"]["model"] |= {"tokens": "interleaved", "window": 5}
    return Chain(folder, config)


def main(folder):
    """Train; with the first method once more, interrupted by the last rank alone, and then to the end."""
    once = ranks.join
    ranks.join, ranks.leave = lambda device: None, lambda: ranks.total(0.0)  # torch does not let ranks meet twice
    once("cpu")
    trained = chain(folder, world_size())
    for stage in STAGES:
        getattr(trained, stage)(output=f"{stage}_{world_size()}")
    asked, calls = Interruption.requested, []
    Interruption.requested = property(lambda self: calls.append(1) or (len(calls) == 5 and rank() == world_size() - 1))
    try:
        trained.pretrain(output=f"resumed_{world_size()}")
    except (KeyboardInterrupt, SystemExit) as end:
        sys.stderr.write(f"rank {rank()}: {end}\n")
    Interruption.requested = asked
    trained.pretrain(output=f"resumed_{world_size()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
