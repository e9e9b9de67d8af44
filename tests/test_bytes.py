"""Networks, evaluations, tables and figures of the tiny Dark-Room are the bytes that this kind of processor has computed before.

`bytes.json` holds hashes by processor and release of torch, since both round in their own way. `python tests/test_bytes.py` adds
those of this machine, or replaces them after a change that is meant to change results.
"""

import hashlib
import json
import platform
import sys
import tempfile
from pathlib import Path

import pytest
import torch

import project
from radt import artifacts

KNOWN = Path(__file__).with_name("bytes.json")
HASHED = (".safetensors", ".csv", ".pdf", ".png")


def machine():
    """What bytes depend on: the processor and the release of torch."""
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text(encoding="utf-8").splitlines() if processor.exists() else []
    told = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    names = [told.get(name, "unknown").strip() for name in ("vendor_id", "cpu family", "model")]
    return " ".join([platform.machine(), *names, "torch", torch.__version__])


def hashes(folder):
    """Hash of every result whose bytes are to stay, by its path; times are left out."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        if path.suffix in HASHED:
            name, told = path.relative_to(folder).as_posix(), project.timeless(path)
            found[name] = told if isinstance(told, str) else hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return found


def test_results_are_the_bytes_that_were_recorded_on_such_a_machine(made):
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    if machine() not in known:
        pytest.skip(f"{KNOWN.name} has no hashes of {machine()}: python tests/test_bytes.py adds them")
    assert hashes(made) == known[machine()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        project.make(place := Path(folder, "project"))
        written = {**json.loads(KNOWN.read_text(encoding="utf-8")), machine(): hashes(place)}
    artifacts.write_text(KNOWN, json.dumps(written, indent=1, sort_keys=True) + "\n")
    sys.exit()
