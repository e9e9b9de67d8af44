"""The checked settings. Read before Snakemake reads the same files, since its reader of YAML loses information (`radt.settings.yaml_reader`)."""

from pathlib import Path

from radt.settings import configuration
from radt.pipeline import targets
from radt.errors import RadtError

CONFIG = Path("config/config.yaml")
if not CONFIG.is_file():
    raise SystemExit(f"error: {CONFIG} is not in {Path.cwd()}: run Snakemake with --directory {workflow.basedir}")

try:
    given = workflow.config_settings
    files = [] if given.replace_workflow_config else configuration.defaults()
    SETTINGS = configuration.read([*files, *given.configfiles], given.config_args or [])
    targets.check(SETTINGS, targets.given(sys.argv[1:]))
except RadtError as error:
    raise SystemExit(f"error: {error}") from None
