"""Which code runs: the package beside this Snakefile, whichever is installed, in an environment that has what it needs."""

import gc
import os
import shlex
from importlib.util import find_spec
from pathlib import Path

gc.freeze()
gc.set_threshold(200_000)  # what is planned stays until the end: looking for garbage more often took an eighth of the time

CONDA = "CONDA" in (method.name for method in workflow.deployment_settings.deployment_method)  # jobs have envs/radt.yaml
PACKAGES = ["numpy", "pydantic", "tqdm", "yaml"] + ([] if CONDA else ["faiss", "matplotlib", "torch"])
if missing := [name for name in PACKAGES if find_spec(name) is None]:
    raise SystemExit(
        f"error: the Python of this Snakemake ({sys.executable}) has no module {missing[0]!r}: run `make setup`, then .venv/bin/snakemake"
    )

SOURCE = str(Path(workflow.basedir, "src").resolve())
sys.path.insert(0, SOURCE)

import radt

if Path(radt.__file__).resolve().parents[1] != Path(SOURCE):
    raise SystemExit(f"error: the package of {radt.__file__} is loaded already, not that of {SOURCE}: start snakemake anew")

PLACES = {"PATH": [str(Path(sys.executable).parent), *os.get_exec_path()]}  # `python` is Snakemake's own
PLACES["PYTHONPATH"] = [SOURCE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
os.environ.update({name: os.pathsep.join(dict.fromkeys(places)) for name, places in PLACES.items()})
line = "set -euo pipefail; trap : TERM; "  # at a SIGTERM to all processes of a job, bash stays until the training has written its checkpoint
if CONDA:
    line += f'export PATH="$CONDA_PREFIX/bin:$PATH" PYTHONPATH={shlex.quote(SOURCE)}; '
shell.prefix(line)
