"""Damage to the bytes of a file, the same for the same seed: what disks and networks do, and what only somebody hostile would."""

import os
import random

TRIES = 100_000 if os.environ.get("RADT_TORTURE") == "1" else 1000
PIECES = [
    b"NaN",
    b"1e999",
    b"-1",
    b"true",
    b"null",
    b'"\\ud800"',
    b"\0",
    b"\xff\xfe",
    b"../",
    b'"',
    b"{",
    b"}",
    b"[" * 2000,
    b"9" * 5000,
]


def mutations(content, seed):
    """`TRIES` variants of `content`, each with one to three changes."""
    chance = random.Random(seed)
    for _ in range(TRIES):
        changed = content
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            changed = chance.choice((flip, flip, cut, drop, repeat, insert, overwrite))(changed, chance)
        yield changed


def flip(content, chance):
    """One bit."""
    if not content:
        return content
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def cut(content, chance):
    """The end."""
    return content[: chance.randrange(len(content) + 1)]


def drop(content, chance):
    """Some bytes in the middle."""
    first, last = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[min(last, first + 64) :]


def repeat(content, chance):
    """Some bytes twice."""
    first, last = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:]


def insert(content, chance):
    """What a reader may not expect."""
    place = chance.randrange(len(content) + 1)
    return content[:place] + chance.choice(PIECES) + content[place:]


def overwrite(content, chance):
    """The same, in the place of something else."""
    place, piece = chance.randrange(len(content) + 1), chance.choice(PIECES)
    return content[:place] + piece + content[place + len(piece) :]
