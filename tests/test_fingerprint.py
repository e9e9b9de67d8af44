"""The code fingerprint changes with what a stage uses, and with nothing else."""

import shutil
import subprocess
import sys

import pytest

from radt.errors import RadtError
from radt.pipeline.fingerprint import SOURCE, agent_code, encoder_code, fingerprint, training_code

STAGES = ["trajectories", "embed", "index", "train", "evaluate", "figure"]
FILES = {
    "radt/__init__.py": '"""A package."""\n',
    "radt/stages/__init__.py": "def run(main):\n    return main()\n",
    "radt/stages/train.py": """\
        '''A stage.'''
        from radt import store
        from radt.loop import train
        from radt.settings import Train
        from radt.stages import run

        def main():
            return train(Train, store.write)

        if __name__ == "__main__":
            run(main)
        """,
    "radt/loop.py": """\
        from radt.maths.scale import half

        RATE = 3

        def train(settings, write):
            # a comment
            return write(half(RATE))
        """,
    "radt/maths/scale.py": """\
        def half(value):
            '''A docstring.'''
            return value / 2

        def double(value):
            return value * 2
        """,
    "radt/settings.py": """\
        class Section:
            pass

        class Train(Section):
            rate: int
            '''What it means.'''

        class Figure(Section):
            size: int
        """,
    "radt/store.py": """\
        import radt.plugins

        def write(value):
            return value

        def read(value):
            return value
        """,
    "radt/plugins.py": "print('runs when imported')\n\ndef unused():\n    return 1\n",
}


@pytest.fixture
def edited(tmp_path):
    """A function that writes the small package with one text replaced and gives its fingerprint."""

    def make(file="radt/loop.py", old="", new="", count=[0]):  # noqa: B006 (counts the copies: files are read once)
        count[0] += 1
        source = tmp_path / str(count[0])
        for name, text in FILES.items():
            text = "\n".join(line.removeprefix("        ") for line in text.splitlines()) + "\n"
            assert name != file or old in text
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text.replace(old, new) if name == file and old else text, encoding="utf-8")
        return fingerprint("radt.stages.train", source)

    return make


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("radt/loop.py", "# a comment", "# another one"),
        ("radt/loop.py", "RATE = 3", "RATE   =   (3)  # layout"),
        ("radt/maths/scale.py", "A docstring.", "Another one."),
        ("radt/settings.py", "What it means.", "What else it means."),
        ("radt/stages/train.py", "A stage.", "The stage."),
        ("radt/maths/scale.py", "value * 2", "value + value"),
        ("radt/settings.py", "size: int", "size: float"),
        ("radt/store.py", "def read(value):\n    return value", "def read(value):\n    return None"),
        ("radt/plugins.py", "return 1", "return 2"),
    ],
    ids=["comment", "layout", "docstring", "field docstring", "module docstring", "function", "class", "in module", "plugin"],
)
def test_an_edit_of_comments_or_of_what_is_not_used_changes_nothing(edited, file, old, new):
    assert edited(file, old, new) == edited()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("radt/stages/train.py", "run(main)", "run(print)"),
        ("radt/stages/__init__.py", "return main()", "return main() or 0"),
        ("radt/__init__.py", '"""A package."""', "print()"),
        ("radt/loop.py", "RATE = 3", "RATE = 4"),
        ("radt/maths/scale.py", "value / 2", "value * 0.5"),
        ("radt/settings.py", "rate: int", "rate: float"),
        ("radt/settings.py", "class Section:\n    pass", "class Section:\n    strict = True"),
        ("radt/store.py", "def write(value):\n    return value", "def write(value):\n    return [value]"),
        ("radt/plugins.py", "runs when", "still runs when"),
    ],
    ids=[
        "stage",
        "package of stages",
        "package",
        "constant",
        "two imports away",
        "class",
        "base class",
        "in module",
        "run at import",
    ],
)
def test_a_real_edit_of_what_is_used_changes_it(edited, file, old, new):
    assert edited(file, old, new) != edited()


def test_a_missing_module_is_named_with_its_file():
    with pytest.raises(RadtError, match=r"radt\.stages\.dream is missing, expected in .*stages/dream\.py"):
        fingerprint("radt.stages.dream")


def test_broken_code_is_named_with_its_line(edited):
    with pytest.raises(RadtError, match=r"loop\.py:5 is not valid Python"):
        edited("radt/loop.py", "def train", "def def")


def test_an_imported_module_that_is_missing_is_named(edited):
    with pytest.raises(RadtError, match=r"radt\.gone is missing"):
        edited("radt/loop.py", "from radt.maths.scale", "from radt.gone")


def test_all_stages_together_read_each_file_once():
    code = (
        "import ast; from radt.pipeline.fingerprint import SOURCE, fingerprint; parse, calls = ast.parse, [];"
        "ast.parse = lambda *given, **named: (calls.append(1), parse(*given, **named))[1];"
        f"[fingerprint('radt.stages.' + stage) for stage in {STAGES}]; print(len(calls), len(list(SOURCE.rglob('*.py'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    calls, files = map(int, done.stdout.split())
    assert len(STAGES) < calls <= files


def test_stages_differ_and_do_not_depend_on_the_process():
    prints = {stage: fingerprint(f"radt.stages.{stage}") for stage in STAGES}
    assert len(set(prints.values())) == len(STAGES)
    code = "from radt.pipeline.fingerprint import fingerprint; print(fingerprint('radt.stages.embed'))"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert again.stdout.strip() == prints["embed"]


@pytest.fixture
def changed_files(tmp_path):
    """The jobs whose fingerprint changes with an edit of a file of the package, which is made where there is none."""

    def prints(source):
        def printed(stage, *by_name):
            return fingerprint(f"radt.stages.{stage}", source, by_name, ("grid",))

        found = {stage: printed(stage) for stage in ("trajectories", "index", "figure")}
        for encoder in ("dt", "lm"):
            found[f"embed {encoder}"] = printed("embed", *encoder_code(encoder))
        for method in ("dt", "ad", "dpt", "radt", "radt_lm"):
            found[f"train {method}"] = printed("train", *training_code(method))
            found[f"evaluate {method}"] = printed("evaluate", *agent_code(method))
        return found

    def changed(name, edit):
        shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
        file, before = tmp_path / f"src/radt/{name}.py", prints(SOURCE)
        file.write_text(edit(file.read_text(encoding="utf-8") if file.exists() else ""), encoding="utf-8")
        after = prints(tmp_path / "src")
        return {stage for stage, code in before.items() if after[stage] != code}

    return changed


def test_an_agent_counts_in_the_evaluation_of_its_method_alone(changed_files):
    edited = changed_files("methods/ad", lambda text: text.replace("AdAgent(network", "AdAgent(1 and network"))
    assert edited == {"evaluate ad"}


def test_a_training_counts_in_its_method_alone(changed_files):
    assert changed_files("methods/ad", lambda text: text.replace('"ad windows", update', '"ad windows", 1 + update')) == {
        "train ad"
    }


def test_what_acts_with_an_encoder_trains_nothing_again(changed_files):
    edited = changed_files(
        "encoders/dt", lambda text: text.replace("self.begun, self.outputs = 0,", "self.begun, self.outputs = 1 - 1,")
    )
    assert edited == {"evaluate radt"}


def test_an_encoder_counts_where_it_embeds(changed_files):
    edited = changed_files("models/language", lambda text: text.replace("settings.beta", "1 * settings.beta"))
    assert edited == {"embed lm", "train radt_lm", "evaluate radt_lm"}


def test_where_histories_come_from_counts_in_them_alone(changed_files):
    assert changed_files("suites/grid/sources", lambda text: text.replace("experiment", "the_experiment")) == {"trajectories"}


def test_what_dpt_learns_from_counts_in_dpt(changed_files):
    edited = changed_files(
        "suites/grid/experience", lambda text: text.replace("TableExperience(data", "TableExperience(1 and data")
    )
    assert edited == {"train dpt", "evaluate dpt"}


def test_another_suite_counts_in_its_own_experiments_alone(changed_files):
    assert changed_files("suites/gymnasium/spec", lambda text: text + "\nMORE = print('imported')\n") == set()


def test_a_look_counts_in_figures_alone(changed_files):
    assert changed_files("methods/ad", lambda text: text.replace("#882255", "#882256")) == {"figure"}


def test_a_new_method_changes_figures_alone(changed_files):
    assert changed_files("methods/new", lambda _: 'METHOD = 1\nTHEME = ("new",)\n\n\ndef agent(setup):\n    return 1\n') == {
        "figure"
    }
