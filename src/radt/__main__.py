"""Questions about results: `python -m radt verify`, `python -m radt explain results/darkroom/figure.pdf`, and records of them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from radt.commands import accept, explain, pull, record, redraw, verify
from radt.provenance import RECORDED
from radt.stages import run

RESULTS = Path("results")


def main(argv: list[str] | None = None) -> int:
    """Command line; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m radt", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("verify", help="hash all results again and follow what they were made from")
    checking.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    telling = commands.add_parser("explain", help="print what made a file, from the data on")
    telling.add_argument("path", type=Path, help="a file below results/")
    accepting = commands.add_parser("accept", help="keep results after an edit of the code that cannot change them")
    accepting.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    commands.add_parser("record", help="copy what is small to results/recorded/, and tell DVC of all; refused when out of date")
    summarizing = commands.add_parser(
        "summarize", help="copy what is small of an experiment to results/recorded/, as DVC's stage does"
    )
    summarizing.add_argument("experiment", help="its name")
    commands.add_parser("pull", help="get the results that this commit records, from DVC")
    commands.add_parser("redraw", help="draw the figures of results/recorded/ again from their tables")
    given = parser.parse_args(argv)
    match given.command:
        case "verify":
            if wrong := verify.verify(given.root):
                print("\n".join(wrong), file=sys.stderr)
                return 1
            print(f"everything in {given.root} is whole and fits together")
        case "explain":
            print("\n".join(explain.explain(given.path)))
        case "accept":
            print(f"{len(accept.accept(given.root))} records accept the present code")
        case "record":
            print("recorded: " + ", ".join(record.record(RESULTS)))
        case "summarize":
            record.summarize(RESULTS, given.experiment)
        case "pull":
            print(f"got {len(pull.pull())} folders of results")
        case "redraw":
            print("\n".join(map(str, redraw.redraw(RECORDED))))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when nobody reads on: explain FILE | head
    run(main)
