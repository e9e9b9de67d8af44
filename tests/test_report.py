"""The page of all results: its numbers are those of the files, it asks for nothing, bad files stop it, a browser can use it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from project import ROOT
from radt.__main__ import main
from radt.commands.report import report
from radt.errors import RadtError
from radt.figures.page import SIGNS

RECORDED = Path("results/recorded")
EXPERIMENTS = sorted(path.parent.name for path in (ROOT / RECORDED).glob("*/curves.csv"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def numbers(page):
    """The numbers in a page."""
    found = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', page)
    assert len(found) == 1
    return json.loads(found[0])


def card(page, name):
    """The HTML of one experiment."""
    return re.search(rf'<article class="card" id="card-{re.escape(name)}".*?</article>', page, re.DOTALL).group()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of what is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        output = tmp_path_factory.mktemp("report") / "report.html"
        assert main(["report", "--output", str(output)]) == 0
    return output.read_text(encoding="utf-8")


def without_records(name, source="darkroom", success=False):
    """Curves and table of a recorded experiment in results/recorded/NAME, without anything that tells how they were made."""
    (RECORDED / name).mkdir(parents=True)
    for file in ("curves.csv", "table.csv"):
        frame = pd.read_csv(ROOT / RECORDED / source / file).assign(experiment=name)
        if success:
            columns = ["success"] if file == "curves.csv" else ["success_1", "success_last"]
            frame = frame.assign(**dict.fromkeys(columns, 0.25))
        frame.to_csv(RECORDED / name / file, index=False)
    return RECORDED / name


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the configuration alone, and the working directory."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("file", ["curves", "table", "seeds"])
def test_numbers_of_the_page_are_those_of_the_files(page, name, file):
    path = ROOT / RECORDED / name / f"{file}.csv"
    if not path.exists():
        assert not any(numbers(page)[name][file].values())
        return
    expected = pd.read_csv(path, keep_default_na=False, na_values=[""])
    shown = pd.DataFrame(numbers(page)[name][file])
    assert set(expected.columns) <= set(shown.columns)
    pd.testing.assert_frame_equal(shown[list(expected.columns)], expected, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_single_seeds_are_the_curve_when_averaged(page, name):
    """Where evaluations are recorded. Files have six digits."""
    runs, curves = (pd.DataFrame(numbers(page)[name][file]) for file in ("runs", "curves"))
    if (ROOT / RECORDED / name / "evaluate").exists():
        assert not runs.empty
        means = runs.groupby(["method", "split", "episode"])["return"].mean()
        expected = curves.set_index(["method", "split", "episode"])["mean"].sort_index()
        assert ((means - expected).abs() <= 1e-5 * expected.abs() + 1e-5).all() and len(means) == len(expected)
    else:
        assert runs.empty


def test_overview_has_the_last_return_interval_and_verdict_of_every_method(page):
    cells = re.search(r'<table class="overview">.*?</table>', page, re.DOTALL).group()
    rows = {re.search(r'href="#card-(\w+)"', row).group(1): row for row in re.findall(r"<tr>.*?</tr>", cells, re.DOTALL)[1:]}
    assert sorted(rows) == EXPERIMENTS
    for name, text in rows.items():
        table = pd.read_csv(ROOT / RECORDED / name / "table.csv").query("split == 'held_out'").set_index("method")
        for method in ("radt", "ad", "dpt", "dt"):
            row = table.loc[method]
            values = [row["last"], row["last_ci_low"], row["last_ci_high"], row["paper_last"]]
            assert all(f"{value:.1f}" in text or f"{value:.2f}" in text for value in values if pd.notna(value)), (name, method)
        verdicts = [table["last_verdict"].get(method) for method in ("radt", "radt_lm", "ad", "dpt", "dt")]
        expected = [SIGNS[verdict] for verdict in verdicts if isinstance(verdict, str)]
        assert re.findall(r'<span class="verdict \w+">(.*?)</span>', text) == expected


def test_page_tells_how_a_result_was_made(page):
    text, record = card(page, "darkroom"), json.loads((ROOT / RECORDED / "darkroom/provenance.json").read_text(encoding="utf-8"))
    for told in (record["commit"], "snakemake -- results/darkroom/figure.pdf", "Settings", "query_stride: 50"):
        assert told in text
    assert record["machine"] in text


def test_page_asks_for_nothing_and_is_small(page):
    assert len(page.encode()) < 10e6
    assert "default-src 'none'" in page
    without_scripts = re.sub(r'<script.*?</script>|src="data:image/png;base64,[^"]*"', "", page, flags=re.DOTALL)
    assert not re.search(r"<(link|iframe)\b|\bsrc=|href=\"(?!#)|url\(|@import", without_scripts)
    assert not re.search(r"<script[^>]+src", page)
    assert str(ROOT) not in page


def test_same_results_give_the_same_bytes(project):
    without_records("darkroom")
    without_records("keydoor", source="keydoor")
    for name in ("one.html", "two.html"):
        report(RECORDED, Path(name))
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()


def test_results_without_records_say_so(project):
    without_records("darkroom")
    report(RECORDED, Path("report.html"))
    text = card(Path("report.html").read_text(encoding="utf-8"), "darkroom")
    assert "None was kept when this was made" in text and "not known" in text and "Single seeds" not in text


def test_what_is_not_known_is_said_and_has_no_button(project):
    """Of one seed there is no interval; some environments have no optimum, and the paper knows few of them."""
    folder = without_records("darkroom")
    for file in ("curves.csv", "table.csv"):
        frame = pd.read_csv(folder / file)
        gone = [name for name in frame if re.match("low|high|optimum|paper|.*_ci_|.*verdict", name)]
        frame.assign(**dict.fromkeys(gone)).to_csv(folder / file, index=False)
    report(RECORDED, Path("report.html"))
    page = Path("report.html").read_text(encoding="utf-8")
    text = card(page, "darkroom")
    assert "no interval" in text and "not known" in page and "None</" not in page and "verdict" not in text
    assert not re.search(r'data-line="\*(optimum|paper|interval|runs)"', text)


def test_the_command_has_the_settings_that_made_a_result(page):
    """Of most results the configuration has them, of one a file of config/, of one none."""
    assert "has the settings that made this" in card(page, "darkroom")
    text = card(page, "keydoor_40x20")
    assert "snakemake --configfile config/gpu.yaml -- results/keydoor_40x20/figure.pdf" in text and "has the settings" in text


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("darkroom", {"train_ad": {"episode_gap": 77}}, ["snakemake -- results/darkroom", "train_ad.episode_gap: 77 -&gt; 1"]),
        ("darkroom", {"train_ad": {"later": 77}}, ["train_ad.episode_gap: 77 -&gt; 1"]),
        ("darkroom", {"train_ad": {"nosuch": 1, "other": 2}}, ["has the settings", "2 of its settings have other names"]),
        ("validation", {"evaluate": {"splits": ["validation", "train"]}}, ["--configfile config/validation.yaml -- results/val"]),
        (
            "validation",
            None,
            ["--configfile config/validation.yaml -- ", "were not kept", "config validation --configfile config"],
        ),
        ("elsewhere", {"seeds": [1]}, ["snakemake --configfile FILE -- results/elsewhere/figure.pdf", "FILE is one of your own"]),
    ],
)
def test_settings_that_the_command_has_not_are_named(project, name, settings, words):
    folder = without_records(name)
    if settings:
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    report(RECORDED, Path("report.html"))
    text = card(Path("report.html").read_text(encoding="utf-8"), name)
    assert not [part for part in words if part not in text], text.partition("<dt>Command")[2][:1500]


def test_seeds_and_methods_are_settings(project):
    """Records know better than settings.json, which may be of an earlier time."""
    shutil.copytree(ROOT / RECORDED / "cartpole", RECORDED / "cartpole")
    (RECORDED / "cartpole/settings.json").write_text('{"train_ad": {"episode_gap": 77}}', encoding="utf-8")
    edited = Path("config/config.yaml").read_text(encoding="utf-8").replace("seeds: [42, 43, 44]", "seeds: [42]")
    Path("config/config.yaml").write_text(edited, encoding="utf-8")
    report(RECORDED, Path("report.html"))
    text = card(Path("report.html").read_text(encoding="utf-8"), "cartpole")
    assert "<li><code>seeds: [42, 43, 44] -&gt; [42]</code></li></ul>" in text and "episode_gap: 77" not in text


def test_success_has_a_button_only_where_it_is_known(project):
    without_records("darkroom")
    without_records("robot", success=True)
    report(RECORDED, Path("report.html"))
    page = Path("report.html").read_text(encoding="utf-8")
    assert "data-measure" in card(page, "robot") and "25% to 25%" in card(page, "robot")
    assert "data-measure" not in card(page, "darkroom")


def test_intervals_are_named_as_they_were_made(project):
    folder = without_records("darkroom")
    (folder / "settings.json").write_text('{"figure": {"confidence": 0.8}}', encoding="utf-8")
    report(RECORDED, Path("report.html"))
    text = card(Path("report.html").read_text(encoding="utf-8"), "darkroom")
    assert "80% intervals" in text and "95%" not in text


def test_a_verdict_that_there_is_not_is_refused(project):
    folder = without_records("darkroom")
    frame = pd.read_csv(folder / "table.csv")
    frame.assign(last_verdict="great").to_csv(folder / "table.csv", index=False)
    with pytest.raises(RadtError, match="has verdict 'great', allowed are better, within, worse"):
        report(RECORDED, Path("report.html"))


def test_a_film_strip_is_in_the_page(project):
    folder = without_records("darkroom")
    (folder / "film.png").write_bytes(b"picture")
    report(RECORDED, Path("report.html"))
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in card(Path("report.html").read_text(encoding="utf-8"), "darkroom")
    (folder / "film.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises(RadtError, match="is no file of at most 1048576 bytes"):
        report(RECORDED, Path("report.html"))


def test_text_of_files_is_escaped(project):
    evil = '</script><img src=x onerror="alert(1)">'
    folder = without_records("darkroom")
    for file in ("curves.csv", "table.csv"):
        frame = pd.read_csv(folder / file)
        frame.assign(method=frame["method"].replace("radt", f"radt_{evil}")).to_csv(folder / file, index=False)
    (folder / "settings.json").write_text(json.dumps({"section": {evil: evil}}), encoding="utf-8")
    report(RECORDED, Path("report.html"))
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<img" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert f"radt_{evil}" in numbers(page)["darkroom"]["table"]["method"]


def cut(path):
    """Cut off the end of a file, in the middle of a row."""
    path.write_bytes(path.read_bytes()[:-30])


def emptied(path):
    """Leave the header alone."""
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")


def replaced(old, new):
    """What puts one text for another in a file."""
    return lambda path: path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def without(column):
    """What empties one cell of a column."""

    def empty(path):
        frame = pd.read_csv(path)
        frame.loc[frame[column].first_valid_index(), column] = float("nan")
        frame.to_csv(path, index=False)

    return empty


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("curves.csv", cut, "restore it from the repository"),
        ("table.csv", cut, "restore it from the repository"),
        ("curves.csv", lambda path: path.write_bytes(b"\xff\x00\xfe"), "is not a CSV file"),
        ("curves.csv", replaced("mean", "means"), "lacks the column 'mean'"),
        ("table.csv", replaced("darkroom,", "keydoor,"), "expected is 'darkroom'"),
        ("table.csv", replaced("held_out", "train"), "has a row twice"),
        ("table.csv", emptied, "no rows"),
        ("table.csv", without("last_ci_high"), "has one of last_ci_low and last_ci_high without the other: restore it"),
        ("curves.csv", without("low"), "has one of low and high without the other: restore it"),
        ("table.csv", replaced("radt_fixed", "radt_other"), "and curves.csv differ in radt_fixed held_out"),
        ("curves.csv", replaced(",radt,held_out,", ",other,held_out,"), "has model 'other'"),
        ("table.csv", Path.unlink, "table.csv"),
        ("settings.json", lambda path: path.write_text("[1]", encoding="utf-8"), "holds no settings"),
        ("settings.json", lambda path: path.write_text("{", encoding="utf-8"), "settings.json"),
    ],
)
def test_damaged_files_are_refused_and_nothing_is_written(project, file, damage, words):
    folder = without_records("darkroom")
    Path("report.html").write_text("before", encoding="utf-8")
    damage(folder / file)
    with pytest.raises(RadtError) as caught:
        report(RECORDED, Path("report.html"))
    assert words in str(caught.value) and file in str(caught.value) and "\n" not in str(caught.value)
    assert Path("report.html").read_text(encoding="utf-8") == "before"
    assert {path.name for path in project.iterdir()} == {"config", "results", "report.html"}


@pytest.mark.parametrize("file", ["table.csv", "evaluate/ad/seed42.csv"])
def test_files_other_than_the_recorded_ones_are_refused(project, file):
    shutil.copytree(ROOT / RECORDED / "darkroom", RECORDED / "darkroom")
    with (RECORDED / "darkroom" / file).open("a", encoding="utf-8") as changed:
        changed.write("# a comment\n")
    with pytest.raises(RadtError, match=f"{file} is not the file that was recorded: restore it"):
        report(RECORDED, Path("report.html"))


def test_a_folder_without_results_gives_one_sentence_and_status_1(project):
    with pytest.raises(RadtError, match=r"holds no curves\.csv of an experiment: make one first"):
        report(Path("config"), Path("report.html"))
    command = [sys.executable, "-m", "radt", "report", "nosuch"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and not Path("report.html").exists()
    assert done.stderr == "error: nosuch is no folder: name one with results, such as results/recorded\n"


WATCH = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => faults.push(event.blockedURI));
console.error = console.warn = (...words) => faults.push(words.join(" "));
</script>"""
USE = """<script>
addEventListener("load", async () => {
  const own = document.getElementById("card-darkroom"), robot = document.getElementById("card-robot");
  const plot = own.querySelector(".plot");
  const press = (card, which) => card.querySelector(`button[${which}]`).click();
  const seen = { drawn: document.querySelectorAll(".plot svg.main-svg").length > 0, lines: [plot.data.length] };
  for (const name of ["radt", "radt", "*runs", "*interval"]) {
    press(own, `data-line="${name}"`);
    seen.lines.push(plot.data.length);
  }
  own.querySelector(".data").open = true;
  await new Promise((done) => setTimeout(done, 200));
  seen.rows = own.querySelectorAll(".data tbody tr").length;
  press(own, 'data-split="train"');
  seen.split = plot.getAttribute("aria-label");
  seen.tables = [...own.querySelectorAll(".methods")].filter((table) => !table.hidden).map((table) => table.dataset.split);
  press(robot, 'data-measure="success"');
  seen.measure = robot.querySelector(".plot").layout.yaxis.title.text;
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  await new Promise((done) => setTimeout(done, 200));
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  seen.asked = performance.getEntriesByType("resource").length;
  seen.faults = faults;
  seen.width = innerWidth;
  parent.postMessage(seen, "*");
});
</script>"""
FRAME = """<!DOCTYPE html><title>frame</title><pre></pre><script>
addEventListener("message", ({ data }) => { document.querySelector("pre").textContent = JSON.stringify(data); });
</script>
<iframe src="used.html" width="320" height="800" frameborder="0"></iframe>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_page_works_in_a_narrow_browser(project):
    """In a frame, since windows are not as narrow as telephones."""
    shutil.copytree(ROOT / RECORDED / "darkroom", RECORDED / "darkroom")
    without_records("robot", success=True)
    report(RECORDED, Path("report.html"))
    page = Path("report.html").read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}", 1)
    Path("used.html").write_text(page.replace("</body>", f"{USE}</body>"), encoding="utf-8")
    Path("frame.html").write_text(FRAME, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={project / 'browser'}"]
    command = [CHROMIUM, *options, "--virtual-time-budget=20000", "--dump-dom", (project / "frame.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60).stdout
    seen = json.loads(re.search(r"<pre>(.*?)</pre>", shown).group(1))
    all_lines, without, again, with_seeds, without_bands = seen["lines"]
    methods = len(pd.read_csv(RECORDED / "darkroom/table.csv").query("split == 'held_out'"))
    assert without < all_lines == again and with_seeds == all_lines + 3 * methods and without_bands == with_seeds - methods
    assert seen["drawn"] and seen["rows"] == 40 and "training tasks" in seen["split"] and seen["tables"] == ["train"]
    assert "succeed" in seen["measure"]
    assert seen["wide"] <= 0 and seen["width"] == 320 and seen["asked"] == 0 and seen["faults"] == []
