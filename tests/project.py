"""A whole project with a tiny Dark-Room, made once for all tests that run the workflow itself, and what they do with it."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

import warm
from radt import artifacts
from radt.settings.layers import merge, written_out

ROOT = Path(__file__).parents[1]
FIGURE = "results/darkroom/figure.pdf"
FILES = (".dvcignore", ".gitignore", "Snakefile", "dvc.yaml")
FOLDERS = (".dvc", "config", "envs", "profiles", "src", "workflow")
TIMED = ("provenance.json", "metrics.csv", "table.csv")
"""Names of files that hold times."""
UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
OFFLINE = UNSHARE if shutil.which("unshare") and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode else ()
"""What takes the network away from a command; nothing where that is not allowed."""
WARM = "RADT_TESTS_WARM"


def copy_of_the_project(folder):
    """The project in `folder`, whose two experiments, `darkroom` and `keydoor`, are of the size of the smoke configuration."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp"))
    texts = ((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8") for name in ("config", "smoke"))
    config, smoke = (written_out(yaml.safe_load(text)) for text in texts)
    room = smoke.pop("experiments")["smoke"]
    config = {**merge(config, smoke), "experiments": {"darkroom": room, "keydoor": {**room, "world": "keydoor"}}}
    config["embed_language"]["precision"] = "float32"  # quick on every processor
    (folder / "config/ablations.yaml").unlink()
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


@cache
def programs():
    """Folder of programs that start in a warm process, which all test workers share. It has no network, where that is allowed."""
    if WARM not in os.environ:
        os.environ[WARM] = tempfile.mkdtemp(prefix="radt-")
        process = warm.Warm(os.environ[WARM], OFFLINE)
        atexit.register(lambda: (process.stop(), shutil.rmtree(os.environ[WARM])))
    return os.environ[WARM]


def environment(folder, *places, **variables):
    """Variables of a command on the code of `folder`; programs are looked for in `places` first."""
    place = [*places, str(Path(sys.executable).parent), *os.get_exec_path()]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # one compiles for all
    return {**inherited, "PYTHONPATH": str(folder / "src"), "PATH": os.pathsep.join(place), **variables}


def run(command, folder, **variables):
    """Run a command on the code of `folder`: exit status and everything that it printed. Python and its jobs start warm."""
    names = {sys.executable: [], **{name: options.split() for name, options in warm.PROGRAMS.items()}}
    arguments = [*names.get(command[0], ["no Python"]), *command[1:]]
    if arguments[0] != "-m":
        return plain(command, folder, **{"PATH": environment(folder, programs())["PATH"], **variables})
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed, Path(os.devnull).open(encoding="utf-8") as nothing:
        files = (nothing.fileno(), printed.fileno(), printed.fileno())
        status = warm.ask(programs(), arguments, environment(folder, programs(), **variables), folder, files)
        printed.seek(0)
        return status, printed.read()


def plain(command, folder, **variables):
    """The same in a fresh process, as people run it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    done = subprocess.run(command, cwd=folder, env=environment(folder, **variables), **pipes)
    return done.returncode, done.stdout


def snakemake(*options, folder=ROOT):
    """Run Snakemake on the code and the workflow of `folder`: exit status and everything that it printed."""
    return run([sys.executable, "-m", "snakemake", *options], folder)


def planned(*options, folder=ROOT):
    """How many jobs of each rule a dry run plans."""
    status, text = snakemake("--dry-run", *options, folder=folder)
    assert status == 0, text
    return counted(text)


def counted(text):
    """How many jobs of each rule a dry run that printed `text` plans."""
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


def make(folder):
    """A copy of the project in `folder`, and all results of its Dark-Room."""
    copy_of_the_project(folder)
    status, text = snakemake("--cores", "2", "--", FIGURE, folder=folder)
    assert status == 0, text


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
    """By record: stage and arguments of every job of the figure, as a shell reads the line of its rule."""
    status, text = snakemake("--dry-run", "--forceall", "--printshellcmds", "--", FIGURE, folder=folder)
    assert status == 0, text
    lines = re.findall(r"^ *Shell command: (python -m radt\.stages\..+) > logs/.+$", text, flags=re.MULTILINE)
    assert len(lines) == int(re.search(r"^total +(\d+)$", text, flags=re.MULTILINE)[1])
    found = {}
    for _, stage, *arguments in words(lines):
        found[arguments[arguments.index("--record") + 1]] = (stage, arguments)
    return found


def words(lines):
    """What a shell hands to `python` for each of some command lines."""
    script = "\n".join(['python() { printf \'%s\\0\' "$#" "$@"; }', *lines])
    told = iter(subprocess.check_output(["bash"], input=script, encoding="utf-8").split("\0")[:-1])
    return [[next(told) for _ in range(int(count))] for count in told]


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
        outputs = {name: timeless(path.with_name(name)) for name in made["outputs"] if path.with_name(name).exists()}
        return json.dumps([outputs, *(made[key] for key in ("place", "stage", "code", "settings", "arguments"))])
    if path.name in ("metrics.csv", "table.csv"):
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        timed = lines[0].index("cpu_seconds")
        return [cell for line in lines for number, cell in enumerate(line) if number != timed]
    return artifacts.sha256(path)
