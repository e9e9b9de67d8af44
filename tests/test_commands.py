"""What `verify` and `explain` tell of results that are not as they were recorded, and of the copies that Git keeps."""

import shutil
from pathlib import Path

import pytest

from project import FIGURE, ROOT, change, run, snakemake
from radt.__main__ import of_this_checkout
from radt.commands import record, verify
from radt.commands.accept import accept
from radt.commands.explain import explain
from radt.commands.redraw import redraw
from radt.errors import RadtError

AD = "results/darkroom/train/ad/seed42"


def test_verify_names_a_damaged_record_once_and_not_what_depends_on_it(copy, monkeypatch):
    monkeypatch.chdir(copy)
    record = Path(AD, "provenance.json")
    record.write_bytes(record.read_bytes()[:100])
    assert verify.verify(Path("results")) == [
        f"{record} is damaged (no valid JSON): delete it and run the stage that writes it again"
    ]


def test_verify_finds_the_same_from_any_root_and_through_links(copy, monkeypatch):
    monkeypatch.chdir(copy)
    Path("results/recorded").mkdir()
    shutil.copy(FIGURE, "results/recorded")
    shutil.copy("results/darkroom/provenance.json", "results/recorded")
    shutil.move("results/darkroom", "elsewhere")
    Path("results/darkroom").symlink_to(Path("elsewhere").absolute())
    assert verify.verify(Path("results")) == verify.verify(Path("results").absolute()) == []
    Path(AD, "model.safetensors").unlink()
    Path(AD, "notes.txt").write_text("mine", encoding="utf-8")
    expected = [
        f"{AD}/model.safetensors is missing: delete {AD}/provenance.json and run snakemake again",
        f"{AD}/notes.txt is in no record (radt did not write it, or its record is gone): move it elsewhere",
    ]
    assert verify.verify(Path("results")) == verify.verify(Path("results/darkroom")) == expected


def test_explain_tells_what_changed_since(copy, monkeypatch):
    change(copy, "train_ad.episode_gap", 3)
    status, text = snakemake("--cores", "1", "--", f"{AD}/model.safetensors", folder=copy)
    assert status == 0, text
    monkeypatch.chdir(copy)
    told = explain(Path("results/darkroom/evaluate/ad/seed42.csv"))
    changed = [line for line in told if line.startswith("    but ")]
    assert len(changed) == 1 and f"was made from {AD}/model.safetensors, which has changed since" in changed[0]
    assert not [line for line in explain(Path("results/darkroom/evaluate/radt/seed42.csv")) if line.startswith("    but ")]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("results/darkroom/nosuch.pdf", "knows no nosuch.pdf, only curves.csv"),
        ("config/config.yaml", "config/config.yaml has no record: name a file that a job made"),
        ("results/recorded/keydoor/figure.pdf", "has no record: name a file that a job made"),
        (".", "has no record: name a file that a job made"),
    ],
)
def test_explain_refuses_what_nobody_recorded(copy, monkeypatch, path, words):
    monkeypatch.chdir(copy)
    with pytest.raises(RadtError, match=words):
        explain(Path(path))


def test_explain_ends_quietly_when_nobody_reads_on(copy):
    status, text = run(["sh", "-c", f"python -m radt explain {FIGURE} | head -1"], copy)
    assert status == 0 and len(text.splitlines()) == 1


@pytest.fixture
def recorded(copy, monkeypatch):
    """A project with copies for Git; it is the present folder."""
    monkeypatch.chdir(copy)
    record.summarize(Path("results"), "darkroom")
    return copy


COPIES = Path("results/recorded/darkroom")


def test_copies_tell_what_made_a_figure_where_there_is_nothing_else(recorded):
    """What the results themselves tell, and which files are not here; damage to a copy is found."""
    expected = explain(Path(FIGURE))
    evaluations = {path.relative_to("results/darkroom") for path in Path("results/darkroom/evaluate").rglob("*.csv")}
    shutil.rmtree("results/darkroom")
    told = [line.replace("results/recorded/", "results/") for line in explain(COPIES / "figure.pdf")]
    absent = [line for line in told if line.startswith("    not in Git, but in DVC if there (make pull): ")]
    assert [line for line in told if line not in absent] == expected
    assert any("model.safetensors" in line for line in absent) and not any(".csv" in line for line in absent)
    assert verify.verify(Path("results/recorded")) == verify.verify(COPIES) == []
    assert evaluations == {path.relative_to(COPIES) for path in (COPIES / "evaluate").rglob("*.csv")}
    damaged = COPIES / min(evaluations)
    damaged.write_text("x", encoding="utf-8")
    assert verify.verify(Path("results/recorded")) == [f"{damaged} is damaged: {verify.RESTORE}"]


def test_tables_that_were_changed_since_they_were_recorded_are_not_drawn(recorded, capsys):
    before = {path: path.read_bytes() for path in COPIES.glob("figure.*")}
    assert len(redraw(Path("results/recorded"))) == 4 and capsys.readouterr().err == ""
    assert {path: path.read_bytes() for path in COPIES.glob("figure.*")} == before
    lines = (COPIES / "curves.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (COPIES / "curves.csv").write_text("".join(lines[:-5]), encoding="utf-8")
    with pytest.raises(
        RadtError, match=r"darkroom/curves\.csv is not the table that was recorded: restore it from the repository"
    ):
        redraw(Path("results/recorded"))
    assert {path: path.read_bytes() for path in COPIES.glob("figure.*")} == before
    (COPIES / "provenance.json").unlink()
    redraw(Path("results/recorded"))
    assert capsys.readouterr().err == "no record tells what the tables were made from in results/recorded/darkroom\n"
    assert {path: path.read_bytes() for path in COPIES.glob("figure.*")} != before


def test_a_full_disk_leaves_the_copies_and_names_the_one_that_was_to_be_written(recorded, monkeypatch):
    before = {path: path.read_bytes() for path in COPIES.rglob("*") if path.is_file()}
    path_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r", **how: path_open(Path("/dev/full") if mode == "wb" else path, mode, **how)
    )
    with pytest.raises(OSError, match="No space left") as caught:
        record.summarize(Path("results"), "darkroom")
    assert Path(caught.value.filename) in before
    assert {path: path.read_bytes() for path in COPIES.rglob("*") if path.is_file()} == before


def test_copies_that_are_no_longer_behind_a_figure_go(recorded):
    (COPIES / "evaluate/ad/notes.txt").write_text("mine", encoding="utf-8")
    there = {path for path in COPIES.rglob("*") if path.is_file()}
    gone = {COPIES / f"evaluate/ad/seed42{end}" for end in (".csv", ".provenance.json")}
    record._forget(["darkroom"], there - gone)
    assert {path for path in COPIES.rglob("*") if path.is_file()} == there - gone


def test_copies_are_not_accepted(recorded):
    with pytest.raises(RadtError, match="holds copies, which no rule reads"):
        accept(Path("results/recorded"))


def test_damaged_results_are_not_copied(recorded):
    before = (COPIES / "evaluate/ad/seed42.csv").read_bytes()
    Path("results/darkroom/evaluate/ad/seed42.csv").write_text("x", encoding="utf-8")
    with pytest.raises(RadtError, match=r"results/darkroom/evaluate/ad/seed42\.csv is damaged"):
        record.summarize(Path("results"), "darkroom")
    assert (COPIES / "evaluate/ad/seed42.csv").read_bytes() == before


def test_names_of_files_are_printed_in_one_line(copy):
    name = f"{AD}/notes\n\x1b[31m.txt"
    (copy / name).write_text("mine", encoding="utf-8")
    status, text = run(["python", "-m", "radt", "verify"], copy)
    assert status == 1 and text.splitlines()[-1].startswith(f"{AD}/notes\\n\\x1b[31m.txt is in no record")


def test_the_commands_of_one_checkout_are_refused_in_another(tmp_path, monkeypatch):
    results = tmp_path / "results"
    results.mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RadtError, match="holds no records"):  # a folder without a package: any may work there
        of_this_checkout(["verify"])
    (tmp_path / "src").symlink_to(ROOT / "src")
    with pytest.raises(RadtError, match="holds no records"):
        of_this_checkout(["verify"])
    (tmp_path / "src").unlink()
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.raises(RadtError, match=r"src/radt runs, but this checkout has a package of its own: set PYTHONPATH=src"):
        of_this_checkout(["verify"])
