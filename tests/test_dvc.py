"""DVC tells the truth: what it records made the results, in this clone and in a fresh one."""

import csv
import hashlib
import json
import random
import re
import shutil
import sys
import urllib.request
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from project import FIGURE, ROOT, change, content, plain, planned, run
from radt import artifacts
from radt.commands import programs, pull
from radt.commands.explain import explain
from radt.commands.verify import verify
from radt.errors import RadtError

GROUP = [f"{stage}@darkroom" for stage in ("trajectories", "pretrain", "embed", "index", "train", "evaluate", "figure")]


def succeed(folder, *command, start=run, **variables):
    """Run a command that must succeed; what it printed."""
    status, text = start([*command], folder, **variables)
    assert status == 0, text
    return text


def told(text):
    """The JSON in what a command printed, warnings or not."""
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def commit(folder, message):
    succeed(folder, "git", "add", "--all")
    succeed(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module")
def recorded(made, tmp_path_factory):
    """A repository whose results are recorded by the command for that, and pushed to a remote, a folder."""
    place = tmp_path_factory.mktemp("dvc")
    folder = Path(shutil.copytree(made, place / "origin"))
    succeed(folder, "git", "init", "--quiet", "--initial-branch", "main")
    commit(folder, "code")
    succeed(folder, "python", "-m", "radt", "record")
    succeed(folder, "dvc", "remote", "add", "--default", "store", str(place / "store"))
    commit(folder, "results")
    succeed(folder, "dvc", "push", *GROUP)
    return folder


@pytest.fixture(scope="module")
def pulled(recorded, tmp_path_factory):
    """A fresh clone with its results pulled."""
    place = tmp_path_factory.mktemp("pulled")
    succeed(place, "git", "clone", "--quiet", str(recorded), "clone")
    assert "got 7 folders" in succeed(place / "clone", "python", "-m", "radt", "pull")
    return place / "clone"


@pytest.fixture
def clone(pulled, tmp_path):
    """A copy of the clone that a test may change."""
    return Path(shutil.copytree(pulled, tmp_path / "clone", symlinks=True))


@pytest.mark.guarantee
def test_g10_a_setting_changed_after_a_pull_reruns_what_depends_on_it_and_the_lock_has_the_new_outputs(clone, recorded):
    """The case in which a clone without Snakemake's notes used to record old results under new settings."""
    assert content(clone) == content(recorded)
    assert planned("--", FIGURE, folder=clone) == {}
    succeed(clone, "dvc", "status", "--quiet", *GROUP)
    before = (clone / "dvc.lock").read_text(encoding="utf-8")
    change(clone, "evaluate.methods.ad.temperature", 0.1)
    assert planned("--", FIGURE, folder=clone) == {"evaluate_plain": 2, "figure": 1}
    text = succeed(clone, "dvc", "repro", "figure@darkroom")
    assert "evaluate_plain" in text and "train_ad" not in text
    assert planned("--", FIGURE, folder=clone) == {}
    succeed(clone, "dvc", "status", "--quiet", *GROUP)
    assert (clone / "dvc.lock").read_text(encoding="utf-8") != before
    new, old = content(clone), content(recorded)
    changed = {name for name in new if new[name] != old[name] and "/recorded/" not in name}
    evaluations = {f"results/darkroom/evaluate/ad/seed{seed}{end}" for seed in (42, 43) for end in (".csv", ".provenance.json")}
    assert evaluations <= changed <= evaluations | {name for name in new if name.count("/") == 2}
    differences = told(succeed(clone, "dvc", "params", "diff", "--json"))
    assert "evaluate.methods.ad.temperature" in json.dumps(differences)


def test_metrics_and_plots_are_compared_across_commits(clone):
    path = clone / "results/recorded/darkroom/metrics.json"
    old = artifacts.read_json(path)
    artifacts.write_json(path, {**old, "ad": {**old["ad"], "last": old["ad"]["last"] + 1}})
    differences = told(succeed(clone, "dvc", "metrics", "diff", "--json"))
    assert differences["results/recorded/darkroom/metrics.json"]["ad.last"]["diff"] == pytest.approx(1)
    figure = clone / "results/recorded/darkroom/figure.png"
    figure.unlink()
    shutil.copy(ROOT / "results/recorded/keydoor/figure.png", figure)
    for command in (("diff", "HEAD"), ("show",)):
        succeed(clone, "dvc", "plots", *command, "--out", "plots")
        page = (clone / "plots/index.html").read_text(encoding="utf-8")
        pictures = re.findall(r'<img src="([^"]*darkroom[^"]*)"', page)
        assert len({(clone / "plots" / picture).read_bytes() for picture in pictures}) == len(command)
        assert "http" not in page  # nothing that needs a network


def test_recorded_job_times_come_with_the_settings_that_they_are_of(recorded):
    folder = recorded / "results/recorded/darkroom"
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    records = list((recorded / "results/darkroom").rglob("*provenance.json"))
    for record in records:
        for name, values in json.loads(record.read_text(encoding="utf-8"))["settings"].items():
            if name not in ("trajectories", "evaluate"):  # of histories only their own source, of an evaluation its own method
                assert settings[name] == values
            elif name == "trajectories":
                assert values.items() <= settings[name].items() and {*values} == {"source", "generate"}
    assert len((folder / "timeline.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(records)


def test_what_is_out_of_date_or_damaged_is_not_recorded(clone):
    before = content(clone)
    kept = (clone / "config/config.yaml").read_text(encoding="utf-8")
    change(clone, "index.max_similarity", 0.9)
    status, text = run(["python", "-m", "radt", "record"], clone)
    assert status == 1 and "error: results are out of date" in text
    (clone / "config/config.yaml").write_text(kept, encoding="utf-8")
    damaged = clone / "results/darkroom/evaluate/ad/seed42.csv"
    damaged.unlink()  # may be a link into DVC's cache
    damaged.write_text("nothing", encoding="utf-8")
    status, text = run(["python", "-m", "radt", "record"], clone)
    assert status == 1 and "seed42.csv is damaged: delete" in text
    after = content(clone)
    assert {name for name in before if after[name] != before[name]} == {
        f"results/darkroom/evaluate/ad/seed42{end}" for end in (".csv", ".provenance.json")
    }


def test_figures_are_drawn_again_from_git_alone(recorded, tmp_path, monkeypatch):
    """A clone without `dvc pull`: the same bytes."""
    succeed(tmp_path, "git", "clone", "--quiet", str(recorded), "clone")
    folder = tmp_path / "clone"
    assert not (folder / "results/darkroom").exists()
    figures = [folder / f"results/recorded/darkroom/figure.{kind}" for kind in ("pdf", "png")]
    before = [path.read_bytes() for path in figures]
    for path in figures:
        path.unlink()
    succeed(folder, "python", "-m", "radt", "redraw")
    assert [path.read_bytes() for path in figures] == before
    monkeypatch.chdir(folder)
    assert verify(Path("results/recorded")) == [] and explain(Path("results/recorded/darkroom/figure.pdf"))


def test_an_experiment_of_dvc_changes_a_setting_and_its_metrics_are_of_its_results(clone):
    setting = "config/config.yaml:evaluate.methods.ad.temperature=0.05"
    succeed(clone, "dvc", "exp", "run", "--name", "cold", "--set-param", setting, "figure@darkroom")
    assert planned("--", FIGURE, folder=clone) == {}
    assert "temperature: 0.05" in (clone / "config/config.yaml").read_text(encoding="utf-8")
    differences = told(succeed(clone, "dvc", "metrics", "diff", "--json"))["results/recorded/darkroom/metrics.json"]
    assert {name.partition(".")[0] for name in differences} == {"ad"}
    with (clone / "results/darkroom/table.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file) if row["split"] == "held_out"}
    for name, values in differences.items():
        assert values["new"] == float(rows["ad"][name.partition(".")[2]])


def test_a_released_model_is_got_by_name_and_version(recorded, tmp_path):
    origin = Path(shutil.copytree(recorded, tmp_path / "origin"))
    succeed(origin, "gto", "register", "darkroom-radt", "--version", "v0.1.0")
    got = tmp_path / "got"
    succeed(tmp_path, "dvc", "artifacts", "get", str(origin), "darkroom-radt", "--rev", "v0.1.0", "--out", str(got))
    for file in ("seed42/model.safetensors", "seed43/model.safetensors"):
        assert (got / file).read_bytes() == (recorded / "results/darkroom/train/radt" / file).read_bytes()


def test_results_go_to_s3_and_come_back(recorded, tmp_path):
    """A real remote over HTTP, with keys from the environment; the same bytes in a clone that never saw the cache."""
    origin = Path(shutil.copytree(recorded, tmp_path / "origin", symlinks=True))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        urllib.request.urlopen(urllib.request.Request(f"{address}/radt", method="PUT")).close()  # the bucket
        succeed(origin, "dvc", "remote", "add", "--default", "--force", "store", "s3://radt/results")
        succeed(origin, "dvc", "remote", "modify", "store", "endpointurl", address)
        commit(origin, "results on S3")
        succeed(origin, "dvc", "push", *GROUP, start=plain, **keys)  # a warm process has no network
        succeed(tmp_path, "git", "clone", "--quiet", str(origin), "clone")
        succeed(tmp_path / "clone", "python", "-m", "radt", "pull", start=plain, **keys)
    finally:
        server.stop()
    assert content(tmp_path / "clone") == content(recorded)
    assert planned("--", FIGURE, folder=tmp_path / "clone") == {}


def test_what_came_damaged_from_a_remote_does_not_reach_the_results(recorded, pulled, tmp_path):
    """Lists of folders are cut, then files; then the remote is mended, and the same command gets everything."""
    folder, store = (
        Path(shutil.copytree(pulled, tmp_path / "clone", symlinks=True)),
        Path(shutil.copytree(recorded.parent / "store", tmp_path / "store")),
    )
    before = content(folder)
    succeed(folder, "dvc", "remote", "modify", "store", "url", str(store))
    shutil.rmtree(folder / ".dvc/cache")
    objects = sorted(path for path in store.rglob("*") if path.is_file())
    for sort in (".dir", ""):  # lists of folders, which DVC reads itself, and files
        kept = {path: path.read_bytes() for path in [path for path in objects if path.suffix == sort][::3]}
        for path in kept:
            path.chmod(0o644)
            path.write_bytes(kept[path][:-1])
        status, text = run(["python", "-m", "radt", "pull"], folder)
        assert status == 1 and "Traceback" not in text
        assert "came damaged" in text.strip().splitlines()[-1] and content(folder) == before
        for path in kept:
            path.write_bytes(kept[path])
    assert "got 7 folders" in succeed(folder, "python", "-m", "radt", "pull")


def object_of(cache, content, end=""):
    """Put an object into a cache of DVC; its name."""
    name = hashlib.md5(content).hexdigest()
    path = cache / "files/md5" / name[:2] / f"{name[2:]}{end}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name + end


@pytest.mark.parametrize("path", ["../../evil", "/etc/evil", "a/../../../evil", "", None, 7, "a\0b"])
def test_a_list_of_files_that_leads_out_of_its_folder_is_refused(tmp_path, path):
    cache = tmp_path / "cache"
    good = object_of(cache, b"content")
    listing = [{"md5": good, "relpath": "seed42.csv"}, {"md5": good, "relpath": path}]
    assert list(pull._faults(cache, "results/x", object_of(cache, json.dumps(listing[:1]).encode(), ".dir"))) == []
    (fault,) = pull._faults(cache, "results/x", object_of(cache, json.dumps(listing).encode(), ".dir"))
    assert "lists files that do not belong into results/x" in fault


def test_every_damaged_object_is_found_and_removed_for_the_next_pull(tmp_path):
    chance, cache = random.Random(0), tmp_path / "cache"
    files = {f"seed{number}.csv": object_of(cache, chance.randbytes(50)) for number in range(4)}
    listing = json.dumps([{"md5": name, "relpath": path} for path, name in files.items()]).encode()
    names = [*files.values(), folder := object_of(cache, listing, ".dir")]
    for _ in range(1000):
        name = chance.choice(names)
        place = pull._place(cache, name)
        kept = place.read_bytes()
        damaged = bytearray(kept)
        damaged[chance.randrange(len(kept))] ^= 1 << chance.randrange(8)
        place.write_bytes(chance.choice([damaged, kept[: chance.randrange(len(kept))]]))
        (fault,) = pull._faults(cache, "results/x", folder)
        assert f"came damaged (object {name})" in fault and not place.exists()
        place.write_bytes(kept)
    assert list(pull._faults(cache, "results/x", folder)) == []


OUT = f"{{outs: [{{path: results/x/train, md5: {'a' * 32}.dir}}]}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        ("schema: '2.0'", "is damaged"),
        ("stages: {}", "has no stages"),
        ("stages: [train@x]", "is damaged"),
        ("stages: {1: {outs: []}}", "is damaged"),
        ("stages: {train@x: null}", "is damaged"),
        (f"<<<<<<< HEAD\nstages: {{train@x: {OUT}}}\n=======\n>>>>>>> other", "has conflict marks of Git"),
        (f"stages: {{train@x: {OUT.replace('results/x', 'src/radt')}}}", "is damaged"),
        (f"stages: {{train@x: {OUT.replace('results/x', 'results/../../x')}}}", "is damaged"),
        (f"stages: {{train@x: {OUT.replace('a' * 32, '../../x')}}}", "is damaged"),
        ("stages: {train@x: {outs: &a [*a]}}", "is damaged"),
        ("\x00", "is damaged"),
        ("[" * 20_000, "is damaged"),
    ],
)
def test_a_lock_file_that_is_none_is_refused_in_a_sentence(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(text, encoding="utf-8")
    with pytest.raises(RadtError, match=f"^dvc.lock {words}") as told:
        pull.pull()
    assert "\n" not in str(told.value)


def test_a_stage_that_looks_like_an_option_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(f"stages: {{--help: {OUT}}}", encoding="utf-8")
    asked = []
    monkeypatch.setattr(pull, "run", lambda *command, **_: asked.append(command) or ".dvc/cache")
    assert pull.pull() == ["--help"]
    assert all("--" in command[: command.index("--help")] for command in asked if "--help" in command) and len(asked) == 3


def test_a_program_that_fails_hangs_or_prints_strange_bytes_is_told_in_a_sentence(tmp_path, monkeypatch, capfd):
    (tmp_path / "program.py").write_text(
        "import sys, time\n"
        "sys.stdout.buffer.write(b'first \\xff\\n'); sys.stdout.flush()\n"
        "time.sleep(60 if sys.argv[1] == 'hangs' else 0)\n"
        "print('ERROR: no such remote\\n\\nHaving any troubles?')\n"
        "sys.exit(sys.argv[1] == 'fails')\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "first \\xff" in programs.run("program", "works")
    with pytest.raises(RadtError, match=r"^`program fails` failed: ERROR: no such remote$"):
        programs.run("program", "fails")
    assert "first \\xff" in capfd.readouterr().err
    with pytest.raises(RadtError, match=r"^`program hangs` did not end within 0\.\d minutes: "):
        programs.run("program", "hangs", timeout=2.0)
    assert "first \\xff" in capfd.readouterr().err
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(RadtError, match="cannot be started"):
        programs.run("program", "works")
