"""Keep results after an edit of the code that cannot change them: `python -m radt accept`."""

from __future__ import annotations

from pathlib import Path

from radt.errors import RadtError
from radt.pipeline import atomic_stage, provenance


def accept(root: Path) -> list[Path]:
    """Add the present fingerprint of the stage to every record below `root` that lacks it; returns these records.

    A record still names the code that made its artifact. Raises `RadtError` when there are no results, or a job is making one of
    them.
    """
    if provenance.is_copy(root):
        raise RadtError(f"{root} holds copies, which no rule reads: name a folder of results")
    return [path for path in provenance.records(root) if _accept(path)]


def _accept(path: Path) -> bool:
    """Add the present fingerprint to a record if it has another, under the lock of its artifact; returns whether it had."""
    if not _other_code(path):
        return False
    with atomic_stage.locked(path):
        provenance.problems(path)  # moves files of a killed job into place
        if code := _other_code(path):
            record = provenance.read(path)
            accepted = [*record.accepted, code]
            provenance.write(path, record.model_copy(update={"format": provenance.FORMAT, "accepted": accepted}))
    return True


def _other_code(path: Path) -> str | None:
    """The present fingerprint of the stage of a record; None when the record has the same."""
    record = provenance.read(path)
    code = provenance.code_of(record.stage, record.settings, record.arguments)
    return None if code in (record.code, *record.accepted) else code
