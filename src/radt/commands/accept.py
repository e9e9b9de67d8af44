"""Keep results after an edit of the code that cannot change them: `python -m radt accept`."""

from __future__ import annotations

from pathlib import Path

from radt import artifacts, provenance
from radt.fingerprint import fingerprint


def accept(root: Path) -> list[Path]:
    """Add the present fingerprint of its stage to every record below `root` that has another; returns these records.

    A record goes on to say which code really made its artifact. Raises `RadtError` when there are no results.
    """
    changed = []
    for path in provenance.records(root):
        record = provenance.read(path)
        if (code := fingerprint(record.stage)) not in (record.code, *record.accepted):
            artifacts.write_json(path, {**record.model_dump(), "accepted": [*record.accepted, code]})
            changed.append(path)
    return changed
