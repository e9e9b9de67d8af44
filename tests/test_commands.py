"""What `verify` and `explain` tell of results that are not as they were recorded."""

import shutil
from pathlib import Path

import pytest

from project import FIGURE, change, run, snakemake
from radt.commands import verify
from radt.commands.explain import explain
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
        f"{AD}/notes.txt is in no record: delete it",
    ]
    assert verify.verify(Path("results")) == verify.verify(Path("results/darkroom")) == expected


def test_explain_tells_what_changed_since(copy, monkeypatch):
    change(copy, "train_ad.later", 3)
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
        ("config/config.yaml", "config/config.yaml has no record: name a file below results/"),
        ("results/recorded/darkroom/figure.pdf", "is a copy: explain the file"),
    ],
)
def test_explain_refuses_what_nobody_recorded(copy, monkeypatch, path, words):
    monkeypatch.chdir(copy)
    with pytest.raises(RadtError, match=words):
        explain(Path(path))


def test_explain_ends_quietly_when_nobody_reads_on(copy):
    status, text = run(["sh", "-c", f"python -m radt explain {FIGURE} | head -1"], copy)
    assert status == 0 and len(text.splitlines()) == 1
