"""Plugin of Snakemake, `--logger radt --logger-radt-file FILE`: a line of JSON for each job that is planned or starts.

Snakemake finds plugins by the names of top-level packages, so this one stands beside `radt`.
"""

import json
import re
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

FIELDS = ("jobid", "rule_name", "reason", "wildcards", "priority", "threads", "shellcmd")
FILES = ("input", "output", "log")
FLAGS = re.compile(r" \([^/]*\)$")
"""What Snakemake adds to the name of a file: ` (update)`."""


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the plugin."""

    file: Path = field(default=Path("jobs.jsonl"), metadata={"help": "File for the jobs, one line of JSON each."})


class LogHandler(LogHandlerBase):
    """Writes jobs into a file. Snakemake prints what it prints without it."""

    writes_to_stream = False
    writes_to_file = True
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        assert isinstance(self.settings, LogHandlerSettings)
        self.baseFilename = str(self.settings.file)  # Snakemake asks for this name
        self._file = self.settings.file.open("w", encoding="utf-8")

    def emit(self, record: LogRecord) -> None:
        """Write the line of a job."""
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self._file.write(json.dumps(job(vars(record))) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def job(said: dict[str, Any]) -> dict[str, Any]:
    """What Snakemake says of a job, as plain values."""
    return {
        **{name: said[name] for name in FIELDS},
        **{name: [FLAGS.sub("", file) for file in said[name]] for name in FILES},
        "benchmark": said["benchmark"] and FLAGS.sub("", said["benchmark"]),
        "resources": {name: value for name, value in said["resources"].items() if isinstance(value, int | str)},
    }
