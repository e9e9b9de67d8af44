"""Commands before, during and after a run of the workflow, such as `python -m radt plan results/darkroom/figure.pdf`."""

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
CONFIGFILE |= {"help": "configuration files, as for snakemake; put -- between them and a target"}


def _count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m radt", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")

    planning = command("plan", "estimate what a target costs: jobs, CPU hours, memory, disk and time")
    planning.add_argument("target", nargs="+", help="a file below results/, or a rule of the workflow")
    planning.add_argument("--configfile", **CONFIGFILE)
    planning.add_argument("--cores", type=_count, help="cores that jobs may use (default: all of this machine)")
    planning.add_argument("--gpus", type=_count, default=1, help="GPU jobs that may run at a time, resource `gpu` (default: 1)")
    showing = command("config", "print the resolved settings of an experiment")
    showing.add_argument("run", help="name of an experiment, or ablations/ABLATION/VARIANT")
    showing.add_argument("--configfile", **CONFIGFILE)
    watching = command("status", "list running jobs, failed jobs and finished results")
    watching.add_argument("--configfile", **CONFIGFILE)
    watching.add_argument("--watch", action="store_true", help="repeat every two seconds until Ctrl-C")
    tracking = command("track", "log metrics of trainings and evaluations to TensorBoard, wandb, trackio or mlflow")
    tracking.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    tracking.add_argument(
        "--to",
        nargs="+",
        choices=TRACKERS,
        metavar="NAME",
        help="trackers (default: those that the configuration lists under `tracking`)",
    )
    tracking.add_argument("--watch", action="store_true", help="follow running trainings until Ctrl-C")
    tracking.add_argument("--configfile", **CONFIGFILE)
    checking = command("verify", "check the checksum of every result and of every input that it was made from")
    checking.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    telling = command("explain", "print how a result was made: commands, settings and inputs, from the data on")
    telling.add_argument("path", type=Path, help="a result below results/")
    accepting = command("accept", "mark results as up to date after a change of the code that does not change them")
    accepting.add_argument("root", nargs="?", type=Path, default=RESULTS, help="a folder of results (default: all)")
    command("record", "copy small results to results/recorded/ and update dvc.lock; outdated results are refused")
    summarizing = command("summarize", "copy the small results of one experiment to results/recorded/ (a stage of dvc.yaml)")
    summarizing.add_argument("experiment", help="name of the experiment")
    command("pull", "fetch the results of this commit from the DVC remote")
    exporting = command("export", "export learning histories to Minari or to the Hugging Face Hub")
    exporting.add_argument("directory", type=Path, help="folder of learning histories, such as results/darkroom/trajectories")
    targets = exporting.add_mutually_exclusive_group(required=True)
    targets.add_argument("--minari", metavar="NAME", help="name of the data set, such as darkroom/learning-v0")
    targets.add_argument("--hub", metavar="USER/NAME", help="repository of the Hub; a data set card is written, too")
    exporting.add_argument("--private", action="store_true", help="create a private repository")
    exporting.add_argument("--license", metavar="ID", help="license of the data set (default: that of radt)")
    getting = command("download", "download learning histories from the Hub and print their folder, for `source: import`")
    getting.add_argument("repository", metavar="USER/NAME", help="data set written by `export --hub`")
    getting.add_argument("--revision", help="commit, tag or branch (default: the newest)")
    filming = command("film", "draw the first and the last episode of a trained agent in one task (PNG)")
    filming.add_argument("weights", type=Path, help="folder of a trained agent, such as results/darkroom/train/radt/seed42")
    filming.add_argument("--task", type=int, help="number of the task (default: the first held-out one)")
    filming.add_argument("--method", help="key of evaluate.methods, if the network was evaluated under several keys")
    filming.add_argument("--output", type=Path, default=Path("film.png"), help="PNG file to write (default: film.png)")
    keeping = command("episodes", "save episodes of a trained agent for the gallery of the report")
    keeping.add_argument("weights", type=Path, help="folder of a trained agent, such as results/darkroom/train/radt/seed42")
    keeping.add_argument(
        "--task", type=int, action="append", default=[], help="number of a task; may be repeated (default: three tasks)"
    )
    keeping.add_argument("--method", help="key of evaluate.methods, if the network was evaluated under several keys")
    command("redraw", "draw the recorded figures again, and write the numbers of the tables in README.md and docs/results.md")
    reporting = command("report", "write an offline HTML page of results, curves and tables")
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
