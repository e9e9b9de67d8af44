"""The checked settings. Read before Snakemake reads the same files, since its reader of YAML loses information (`radt.yaml_reader`)."""

from importlib.util import find_spec
from pathlib import Path

CONDA = "CONDA" in (method.name for method in workflow.deployment_settings.deployment_method)  # jobs have envs/radt.yaml
PACKAGES = ["numpy", "pydantic", "tqdm", "yaml"] + ([] if CONDA else ["faiss", "matplotlib", "torch"])
if missing := [name for name in PACKAGES if find_spec(name) is None]:
    raise SystemExit(
        f"error: the Python of this Snakemake ({sys.executable}) has no module {missing[0]!r}: run `make setup`, then .venv/bin/snakemake"
    )
SOURCE = str(Path(workflow.basedir, "src").resolve())
sys.path.insert(0, SOURCE)  # the package beside this Snakefile, whichever is installed

import radt
from radt import configuration
from radt.commands import targets
from radt.errors import RadtError

if Path(radt.__file__).resolve().parents[1] != Path(SOURCE):
    raise SystemExit(f"error: the package of {radt.__file__} is loaded already, not that of {SOURCE}: start snakemake anew")

CONFIG = Path("config/config.yaml")
if not CONFIG.is_file():
    raise SystemExit(f"error: {CONFIG} is not in {Path.cwd()}: run Snakemake with --directory {workflow.basedir}")

try:
    given = workflow.config_settings
    files = [] if given.replace_workflow_config else [CONFIG]
    SETTINGS = configuration.read([*files, *given.configfiles], given.config_args or [])
    targets.check(SETTINGS, targets.given(sys.argv[1:]))
except RadtError as error:
    raise SystemExit(f"error: {error}") from None
