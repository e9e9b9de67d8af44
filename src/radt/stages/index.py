"""Build the index: keys without near-duplicates, and the chunk table: `python -m radt.stages.index --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from radt.retrieval import index
from radt.settings.base import Section
from radt.settings.experiments import AnyExperiment
from radt.settings.parsing import parse
from radt.settings.registry import VECTORS
from radt.settings.retrieval import Index
from radt.stages import run


class Selection(Section):
    """The part of the configuration that this stage sees."""

    experiment: AnyExperiment
    index: Index


def main(argv: list[str] | None = None) -> int:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the sections experiment and index")
    parser.add_argument("--kind", required=True, choices=VECTORS, help="which encoder, a file of radt.encoders")
    parser.add_argument("--embeddings", required=True, type=Path, help="directory of the embeddings")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    given = parser.parse_args(argv)
    settings = parse(Selection, given.settings).index
    tensors, config = index.read_embeddings(given.embeddings)
    similarity = settings.max_similarity_language if given.kind == "lm" else settings.max_similarity
    stay = index.distinct(tensors["keys"], tensors["history"].astype("int64"), similarity)
    kept = {"keys": tensors["keys"][stay], **{name: tensors[name][stay].astype(np.int64) for name in ("episode", "anchor")}}
    values = {**config, "keys": len(stay), "removed": len(tensors["keys"]) - len(stay), "settings": settings.model_dump()}
    index.write(given.output, kept, values)
    print(f"{len(stay)} of {len(tensors['keys'])} sub-trajectories stay")
    return 0


if __name__ == "__main__":
    run(main)
