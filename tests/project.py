"""A whole project with a tiny Dark-Room, made once for all tests that run the workflow itself, and what they do with it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from radt import artifacts
from radt.configuration import merge

ROOT = Path(__file__).parents[1]
FIGURE = "results/darkroom/figure.pdf"
FILES = (".dvcignore", ".gitignore", "Snakefile", "dvc.yaml")
FOLDERS = (".dvc", "config", "envs", "profiles", "src", "workflow")
TIMED = ("provenance.json", "metrics.csv", "table.csv")
"""Names of files that hold times."""
UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
OFFLINE = UNSHARE if shutil.which("unshare") and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode else ()
"""What takes the network away from a command; nothing where that is not allowed."""


def copy_of_the_project(folder):
    """The project in `folder`, whose two experiments, `darkroom` and `keydoor`, are of the size of the smoke configuration."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp"))
    config, smoke = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")) for name in ("config", "smoke"))
    room = smoke.pop("experiments")["smoke"]
    rooms = {"darkroom": room, "keydoor": {**room, "world": "keydoor"}}
    config = {**merge(config, smoke), "experiments": rooms, "overrides": {}, "ablations": {}}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


def run(command, folder, **variables):
    """Run a command on the code of `folder`: exit status and everything that it printed."""
    place = [str(Path(sys.executable).parent), *os.get_exec_path()]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PATH": os.pathsep.join(place), **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    return done.returncode, done.stdout


def snakemake(*options, folder=ROOT):
    """Run Snakemake on the code and the workflow of `folder`: exit status and everything that it printed."""
    return run([sys.executable, "-m", "snakemake", *options], folder)


def planned(*options, folder=ROOT):
    """How many jobs of each rule a dry run plans."""
    status, text = snakemake("--dry-run", *options, folder=folder)
    assert status == 0, text
    table = text.rpartition("Job stats:")[2].partition("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}


def asked(target, folder):
    """MB and minutes that a dry run asks for, by benchmark file."""
    status, text = snakemake("--dry-run", "--forceall", "--", target, folder=folder)
    assert status == 0, text
    found = {}
    for block in re.split(r"^(?:local)?rule ", text, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^    (\w+): (.+)$", block, flags=re.MULTILINE))
        if "benchmark" in fields:
            memory, minutes = (int(re.search(rf"\b{key}=(\d+)", fields["resources"])[1]) for key in ("mem_mb", "runtime"))
            found[fields["benchmark"]] = (memory, minutes)
    return found


def edit(path, old, new):
    """Replace a text in a file, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def change(folder, path, value):
    """Change one key of the configuration of a project, `path` with dots."""
    *parents, last = path.split(".")
    config = yaml.safe_load((folder / "config/config.yaml").read_text(encoding="utf-8"))
    section = config
    for name in parents:
        section = section[name]
    section[last] = value
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def commands(folder):
    """By record: stage and arguments of every job of the figure, as its rule calls it."""
    status, text = snakemake("--dry-run", "--forceall", "--printshellcmds", "--", FIGURE, folder=folder)
    assert status == 0, text
    lines = re.findall(r"^ *Shell command: (python -m radt\.stages\..+) > logs/", text, flags=re.MULTILINE)
    found = {}
    for _, stage, *arguments in words(lines):
        found[arguments[arguments.index("--record") + 1]] = (stage, arguments)
    assert len(found) == len(lines) > 0
    return found


def words(lines):
    """The arguments that bash gives to `python` for each of some command lines."""
    script = "\n".join(["python() { printf '%s\\0' \"$@\" $'\\n'; }", *lines])
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return [command.split("\0") for command in done.stdout.split("\0\n\0")[:-1]]


def content(folder):
    """Hash of every result by its path, with what holds times reduced to what does not."""
    found = {}
    for path in sorted((folder / "results").rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found[path.relative_to(folder).as_posix()] = timeless(path)
    return found


def timeless(path):
    """A hash of a file that does not depend on how long anything took, or on when and where."""
    if path.name.endswith("provenance.json"):
        made = json.loads(path.read_text(encoding="utf-8"))
        outputs = {name: timeless(path.with_name(name)) for name in made["outputs"]}
        return json.dumps([outputs, *(made[key] for key in ("place", "stage", "code", "settings", "arguments"))])
    if path.name in ("metrics.csv", "table.csv"):
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        timed = lines[0].index("cpu_seconds")
        return [cell for line in lines for number, cell in enumerate(line) if number != timed]
    return artifacts.sha256(path)
