"""The shape of the repository: which way imports run, what is never used, how long shared files may grow, where links lead."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "radt"
RANK = {
    "": 0,
    "settings": 1,
    "data": 2,
    "suites": 3,
    "pipeline": 4,
    "models": 5,
    "retrieval": 6,
    "training": 7,
    "evaluation": 7,
    "encoders": 8,
    "figures": 8,
    "methods": 9,
    "report": 9,
    "stages": 10,
    "agent": 11,
    "commands": 12,
    "__init__": 12,
    "__main__": 13,
}
OUTSIDE = ("__main__", "agent", "__init__")
"""Files at the top that stand above the folders; the others stand below them."""
SOURCES = sorted(PACKAGE.rglob("*.py"))
BENCH = sorted((ROOT / "bench").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*/README.md")), ROOT / "CONTRIBUTING.md"]


def folder(path):
    """The folder of the package that a file is in, the outermost one; empty for the files at its top."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem if inside.stem in OUTSIDE else ""


def imported(path):
    """The folders of the package that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            parts = module.split(".")
            assert parts[0] != "bench", f"{path}: the package runs without its benchmarks"
            if parts[0] == "radt" and len(parts) > 1:
                yield parts[1] if (PACKAGE / parts[1]).is_dir() or parts[1] in OUTSIDE else ""


def test_every_folder_has_its_place_in_the_order():
    assert {folder(path) for path in SOURCES} == set(RANK)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = folder(path)
    for other in imported(path):
        assert other == own or RANK[other] < RANK[own], f"{own or 'radt'} imports from {other}"


def test_what_computes_without_a_network_starts_without_torch():
    """Settings, figures and random numbers; then the stages whose worlds and keys are arrays of NumPy."""
    code = """if True:
        import sys, radt.pipeline.fingerprint, radt.seeding, radt.stages.ablation, radt.stages.figure, radt.stages.overview
        radt.seeding.generator(0, "x")
        print({"torch", "faiss", "gymnasium"} & set(sys.modules))
        import radt.stages.index, radt.stages.rl, radt.stages.trajectories
        print({"torch", "faiss"} & set(sys.modules))"""
    assert subprocess.check_output([sys.executable, "-c", code], encoding="utf-8").split() == ["set()", "set()"]


@pytest.mark.parametrize("path", SOURCES + BENCH + sorted((ROOT / "workflow").rglob("*.smk")) + [ROOT / "Snakefile"], ids=str)
@pytest.mark.guarantee
def test_g6_nothing_is_pickled(path):
    forbidden = r"import (pickle|dill|joblib|shelve|cloudpickle)|torch\.(save|load)\(|allow_pickle=(?!False)|(read|to)_pickle"
    assert not re.search(forbidden, path.read_text(encoding="utf-8"))


def test_no_file_for_everything_and_no_arguments_passed_through():
    assert not [path for path in SOURCES if path.stem in ("utils", "helpers", "common", "misc")]
    for path in SOURCES:
        functions = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]
        assert not [function.name for function in functions if function.args.kwarg], path


def without_encoding(call):
    """Whether a call reads or writes text in the encoding of the machine."""
    words = {word.arg: word.value for word in call.keywords}
    name, owner = (ast.unparse(call.func).rpartition(".")[part] for part in (2, 0))
    if "encoding" in words or owner in ("os", "artifacts"):
        return False
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        mode = [*call.args[: 1 if owner else 2], words.get("mode")]
        return not any(isinstance(one, ast.Constant) and re.fullmatch("[rwax+]*b[rwax+]*", str(one.value)) for one in mode)
    if name in ("read_text", "write_text"):
        return bool(owner)
    return any(ast.unparse(words[key]) == "True" for key in ("text", "universal_newlines") if key in words)


def test_text_is_read_and_written_as_utf_8_whatever_the_encoding_of_the_machine():
    for path in SOURCES + BENCH + sorted((ROOT / "tests").glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        assert not [f"{path}:{call.lineno}" for call in calls if without_encoding(call)], 'add encoding="utf-8"'
    for path in [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if re.search(r"(_text|\bopen)\(", line) and "encoding=" not in line], path


def test_shared_workflow_code_stays_short():
    assert len((ROOT / "workflow" / "common.smk").read_text(encoding="utf-8").splitlines()) <= 80


def test_lock_pins_every_package_without_urls():
    for path in (ROOT / "envs").glob("*.txt"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith(("#", "-r"))]
        assert lines == sorted(lines, key=str.lower)
        for line in lines:
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line


def test_lock_holds_what_the_package_asks_for():
    def names(lines):
        return {re.split(r"[<>=\[]", line)[0].lower().replace("_", "-") for line in lines if line and line[0] not in "#-"}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    top = names((ROOT / "envs" / "requirements.in").read_text(encoding="utf-8").splitlines())
    lock = names((ROOT / "envs" / "requirements.txt").read_text(encoding="utf-8").splitlines())
    dev = names((ROOT / "envs" / "requirements-dev.txt").read_text(encoding="utf-8").splitlines())
    assert names(project["dependencies"]) == top
    assert top <= lock
    extras = project["optional-dependencies"]
    assert names(extras["dev"]) | names(extras["minihack"]) <= dev | lock
    assert not dev & lock


def test_locks_are_complete():
    """Set-up installs them without looking for what packages ask for, but for what torch asks for."""
    texts = [(ROOT / f"envs/{name}.txt").read_text(encoding="utf-8") for name in ("requirements", "requirements-dev")]
    lines = [line.split("==") for text in texts for line in text.splitlines() if line[0] not in "#-"]
    pins = {canonicalize_name(name): version for name, version in lines}
    for name in pins.keys() - {"torch"}:
        for asked in map(Requirement, metadata.requires(name) or []):
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                pin = pins.get(canonicalize_name(asked.name))
                assert pin and pin in asked.specifier, f"{name} asks for {asked}"


def test_conda_environment_of_the_jobs_is_the_lock():
    def pins(name):
        return [line for line in (ROOT / f"envs/{name}.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]

    *_, packages = yaml.safe_load((ROOT / "envs/radt.yaml").read_text(encoding="utf-8"))["dependencies"]
    assert packages["pip"] == pins("requirements"), "run make format"
    assert (ROOT / "envs/radt.post-deploy.sh").read_text(encoding="utf-8").split()[-1:] == pins("requirements-model")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_images_lead_to_files(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    paths = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert [path for path in paths if path and not (page.parent / path).exists()] == []


def test_constants_of_the_grid_worlds_stand_in_their_own_package():
    """Outside, actions, levels, phases and the optimum come from the spec and the tasks."""
    words = r"\b(ACTIONS|LEVELS|REWARDS|PHASES|MOST_PAID|MOST_GOALS|observation_sizes|best_possible|pays_by_time)\b"
    grid = r"from radt\.suites\.grid|import radt\.suites\.grid"
    for path in SOURCES:
        place, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        if not place.startswith("suites/grid/"):
            assert not re.search(words, text), place
            assert not re.search(grid, text) or place.startswith("suites/"), place
