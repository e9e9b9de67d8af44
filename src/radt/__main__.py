"""Commands before, during and after a run: `python -m radt plan results/darkroom/figure.pdf`, `status`, `verify` and others."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from radt.errors import RadtError, printable
from radt.pipeline.provenance import RECORDED
from radt.pipeline.trackers import TRACKERS
from radt.stages import run

RESULTS = Path("results")
CONFIGFILE: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "type": Path, "metavar": "FILE"}
CONFIGFILE |= {"help": "as of snakemake: one or several, after which -- stands before a target"}


def _count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m radt", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="print what a target will cost: jobs, hours, memory, disk, time")
    planning.add_argument("target", nargs="+", help="a file below results/, or a rule")
    planning.add_argument("--configfile", **CONFIGFILE)
    planning.add_argument("--cores", type=_count, help="cores that jobs may take (default: those of this machine)")
    planning.add_argument("--gpus", type=_count, default=1, help="jobs that use a GPU at a time, resource `gpu` (default: 1)")
    showing = commands.add_parser("config", help="print the settings of an experiment as its stages get them")
    showing.add_argument("run", help="an experiment, or ablations/ABLATION/VARIANT")
    showing.add_argument("--configfile", **CONFIGFILE)
    watching = commands.add_parser(
        "status", help="print how far a run is: jobs that run, jobs that failed, results that are there"
    )
    watching.add_argument("--configfile", **CONFIGFILE)
    watching.add_argument("--watch", action="store_true", help="print it again every two seconds, until Ctrl-C")
    tracking = commands.add_parser("track", help="send numbers of trainings and evaluations to TensorBoard, wandb and others")
    tracking.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    tracking.add_argument("--to", nargs="+", choices=TRACKERS, metavar="NAME", help="trackers (default: those of `tracking`)")
    tracking.add_argument("--watch", action="store_true", help="go on, also with trainings that run, until Ctrl-C")
    tracking.add_argument("--configfile", **CONFIGFILE)
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
    exporting = commands.add_parser("export", help="write learning histories as a data set of Minari or of the Hugging Face Hub")
    exporting.add_argument("directory", type=Path, help="such as results/darkroom/trajectories")
    targets = exporting.add_mutually_exclusive_group(required=True)
    targets.add_argument("--minari", metavar="NAME", help="name of the data set, such as darkroom/learning-v0")
    targets.add_argument("--hub", metavar="USER/NAME", help="repository of the Hub, which gets a data set card, too")
    exporting.add_argument("--private", action="store_true", help="make a repository of the Hub that others cannot see")
    exporting.add_argument("--license", metavar="ID", help="license of the Hub's data set (default: that of radt)")
    getting = commands.add_parser("download", help="get learning histories from the Hub, and print their folder, to import it")
    getting.add_argument("repository", metavar="USER/NAME", help="data set that `export --hub` wrote")
    getting.add_argument("--revision", help="commit, tag or branch (default: the newest)")
    filming = commands.add_parser("film", help="draw the first and the last episode of a trained agent in one task, as a PNG")
    filming.add_argument("weights", type=Path, help="such as results/darkroom/train/radt/seed42")
    filming.add_argument("--task", type=int, help="number of the task (default: the first one that is held out)")
    filming.add_argument("--method", help="key of evaluate.methods, where the network was evaluated in several ways")
    filming.add_argument("--output", type=Path, default=Path("film.png"), help="PNG file to write (default: film.png)")
    keeping = commands.add_parser("episodes", help="keep what a trained agent does in some tasks, for the report to step through")
    keeping.add_argument("weights", type=Path, help="such as results/darkroom/train/radt/seed42")
    keeping.add_argument("--task", type=int, action="append", default=[], help="a task, also several times (default: three)")
    keeping.add_argument("--method", help="key of evaluate.methods, where the network was evaluated in several ways")
    commands.add_parser("redraw", help="draw the figures of results/recorded/ again from their tables")
    reporting = commands.add_parser("report", help="write one page of results, curves and tables, to read without a network")
    reporting.add_argument("root", nargs="?", type=Path, default=RECORDED, help=f"a folder of results (default: {RECORDED})")
    reporting.add_argument("--output", type=Path, default=Path("report.html"), help="the page (default: report.html)")
    return parser


def _keep(given: argparse.Namespace) -> None:
    """Run a command that keeps results, or copies of them."""
    match given.command:
        case "accept":
            from radt.commands import accept

            print(f"{len(accept.accept(given.root))} records accept the present code")
        case "record":
            from radt.commands import record

            print("recorded: " + ", ".join(record.record(RESULTS)))
        case "summarize":
            from radt.commands import record

            record.summarize(RESULTS, given.experiment)
        case "pull":
            from radt.commands import pull

            print(f"got {len(pull.pull())} folders of results")
        case "film":
            from radt.commands import film

            print(film.film(given.weights, given.task, given.method, given.output))
        case "episodes":
            from radt.commands import episodes

            print(episodes.episodes(given.weights, given.task, given.method))
        case "track":
            from radt.commands import track
            from radt.pipeline import config

            print(track.track(given.root, given.to or config.settings(*given.configfile).tracking, given.watch))
        case "redraw":
            from radt.commands import redraw

            print("\n".join(map(str, redraw.redraw(RECORDED))))


def _share(given: argparse.Namespace) -> None:
    """Run a command that exports or downloads learning histories."""
    from radt.commands import export, share

    if given.command == "download":
        print(share.download(given.repository, given.revision))
    elif given.hub:
        print(share.push(given.directory, given.hub, given.private, given.license))
    elif given.private or given.license:
        raise RadtError("--private and --license are of --hub: leave them out with --minari")
    else:
        print(export.export(given.directory, given.minari))


def main(argv: list[str] | None = None) -> int:
    """Run the command of a command line; returns the exit status. Commands are imported when they run, because some load much."""
    given = _parser().parse_args(argv)
    match given.command:
        case "plan":
            from radt.pipeline import plan

            print(plan.plan(given.target, given.configfile, given.cores, given.gpus))
        case "config":
            from radt.pipeline import config

            print(config.show(given.run, given.configfile), end="")
        case "status":
            from radt.pipeline import status

            status.show(given.configfile, given.watch)
        case "verify":
            from radt.commands import verify

            if wrong := verify.verify(given.root):
                print("\n".join(map(printable, wrong)), file=sys.stderr)
                return 1
            print(printable(f"everything in {given.root} is whole and fits together"))
        case "explain":
            from radt.commands import explain

            print("\n".join(explain.explain(given.path)))
        case "report":
            from radt.commands import report

            print(report.report(given.root, given.output))
        case "export" | "download":
            _share(given)
        case _:
            _keep(given)
    return 0


def of_this_checkout(argv: list[str]) -> int:
    """`main`; raises `RadtError` in the folder of another checkout, whose code may differ from this package."""
    package = Path("src/radt/__main__.py")
    if package.exists() and not package.samefile(__file__):
        raise RadtError(
            f"{Path(__file__).parent} runs, but this checkout has a package of its own: set PYTHONPATH=src, or use its .venv"
            " (make setup)"
        )
    return main(argv)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly when nobody reads on: explain FILE | head
    run(of_this_checkout)
