"""The gallery of the page: it shows what stands in the files of recorded episodes, refuses others, and works in a browser."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from radt.commands.report import report
from radt.errors import RadtError
from test_report import CHROMIUM, FRAME, RECORDED, WATCH, card, project, replaced, without_records  # noqa: F401 - a fixture

ROOM = {"width": 3, "height": 2, "walls": [4], "marks": [["goal", 2]]}
FIRST = {"rewards": [0, 1, 0.5], "actions": [[1], [1], [4]], "cells": [0, 1, 2, 2], "read": []}
SECOND = {"rewards": [0, 1, 1], "actions": [[1], [1], [4]], "cells": [0, 1, 2, 2], "read": []}
SECOND["read"] = [[1, [[0, 0, 2, 0.8125, 2.5], [2, 1, 3, 0.5, 1.25]]]]
READ = {"rewards": [], "actions": [], "cells": [0, 3, 0, 1], "read": []}
TASK = {"task": 80, "split": "held_out", "returns": [1.5, 2, 1], "room": ROOM, "shown": [0, 1]}
TASK["episodes"] = {"0": FIRST, "1": SECOND, "2": READ}
NAMES = ["north", "east", "south", "west", "stay"]


def recorded(name="darkroom", method="radt", seed=42, names=NAMES, **changed):
    """A file of recorded episodes in results/recorded/NAME; `changed` are other values of its task."""
    values = {"format": 1, "experiment": name, "method": method, "seed": seed, "as_evaluated": True, "actions": names}
    path = RECORDED / name / f"episodes/{method}_seed{seed}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**values, "tasks": [{**TASK, **changed}]}), encoding="utf-8")
    return path


def without_room():
    """Other values of a task whose suite has no rooms."""
    rewards = {key: own["rewards"] or [0, 0, 1] for key, own in TASK["episodes"].items()}
    episodes = {key: {**own, "cells": [], "rewards": rewards[key]} for key, own in TASK["episodes"].items()}
    return {"room": None, "episodes": episodes}


def page():
    """The page of what is recorded."""
    report(RECORDED, Path("report.html"))
    return Path("report.html").read_text(encoding="utf-8")


def shown(text):
    """The episodes in a page."""
    return json.loads(re.search(r'<script type="application/json" id="episodes">(.*?)</script>', text, re.DOTALL).group(1))


def test_numbers_of_the_page_are_those_of_the_files(project):  # noqa: F811
    without_records("darkroom")
    without_records("robot")
    paths = [recorded(seed=43), recorded(method="ad"), recorded(seed=42), recorded("robot", names=[], **without_room())]
    text = page()
    files = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    assert shown(text) == {"darkroom": [files[1], files[2], files[0]], "robot": [files[3]]}
    before = Path("report.html").read_bytes()
    assert page().encode() == before


def test_without_recorded_episodes_there_is_no_gallery(project):  # noqa: F811
    without_records("darkroom")
    without_records("keydoor", source="keydoor")
    recorded()
    text = page()
    assert 'class="gallery"' in card(text, "darkroom") and 'class="gallery"' not in card(text, "keydoor")


def test_text_of_files_is_escaped(project):  # noqa: F811
    evil = '</script><img src=x onerror="alert(1)">'
    without_records("darkroom")
    recorded(names=[evil], room={**ROOM, "marks": [[evil, 2]]}, split=evil)
    text = page()
    assert "<img" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert shown(text)["darkroom"][0]["actions"] == [evil]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "holds no episodes"),
        (lambda path: path.write_bytes(b"\xff\x00"), "holds no episodes"),
        (lambda path: path.write_text("[]", encoding="utf-8"), "holds no episodes"),
        (lambda path: path.write_text("[" * 100_000, encoding="utf-8"), "holds no episodes"),
        (lambda path: path.write_bytes(bytes(2**20 + 1)), "is no file of at most 1048576 bytes"),
        (replaced('"format": 1', '"format": 2'), "holds no episodes"),
        (replaced("0.8125", "NaN"), "holds no episodes"),
        (replaced("[2, 1, 3, 0.5", "[3, 1, 3, 0.5"), "holds no episodes"),
        (replaced("[2, 1, 3, 0.5", "[2, 1, 4, 0.5"), "holds no episodes"),
        (replaced("[0, 3, 0, 1]", "[0, 6, 0, 1]"), "holds no episodes"),
        (replaced("[0, 3, 0, 1]", "[0, 3, 0]"), "holds no episodes"),
        (replaced('"shown": [0, 1]', '"shown": [0, 2]'), "holds no episodes"),
        (replaced('"rewards": [0, 1, 1]', '"rewards": [0, 1]'), "holds no episodes"),
        (replaced('"rewards": [0, 1, 1]', '"rewards": []'), "holds no episodes"),
        (replaced('"cells": [0, 3, 0, 1]', '"cells": []'), "holds no episodes"),
        (replaced('"shown": [0, 1]', '"shown": [0, 7]'), "holds no episodes"),
        (replaced('"returns": [1.5, 2, 1]', '"returns": [1.5, 2]'), "holds no episodes"),
        (replaced('"walls": [4]', '"walls": [6]'), "holds no episodes"),
        (replaced('"seed": 42', '"seed": "42"'), "holds no episodes"),
        (replaced('"experiment": "darkroom"', '"experiment": "keydoor"'), "has episodes of radt of keydoor"),
        (replaced('"method": "radt"', '"method": "other"'), "has episodes of other of darkroom, which has no curve here"),
    ],
)
def test_other_files_are_refused_in_a_sentence(project, damage, words):  # noqa: F811
    without_records("darkroom")
    damage(recorded())
    with pytest.raises(RadtError, match="restore it") as caught:
        page()
    assert words in str(caught.value) and "episodes" in str(caught.value) and "\n" not in str(caught.value)
    assert not Path("report.html").exists()


USE = """<script>
addEventListener("load", async () => {
  const own = document.querySelector("#card-darkroom .gallery"), robot = document.querySelector("#card-robot .gallery");
  const read = (place) => [...place.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((one) => one.textContent));
  const state = (place) => ({ now: place.querySelector(".now").textContent, read: read(place),
    label: place.querySelector("figure > svg").getAttribute("aria-label"), text: place.querySelector(".scroll").textContent,
    dashed: place.querySelector("figure > svg .earlier")?.getAttribute("d") });
  const press = (place, key) => place.querySelector("figure").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const choose = (place, name, value) => {
    const select = place.querySelector(`[data-choice="${name}"]`);
    select.value = value;
    select.dispatchEvent(new Event("change"));
  };
  const offered = (select) => [...select.options].map((one) => one.textContent);
  const options = (place) => [...place.querySelectorAll("select")].map(offered);
  const seen = { options: options(own), begin: state(own) };
  own.querySelector('[data-go="1"]').click();
  seen.step = state(own);
  own.querySelectorAll("tbody tr")[1].click();
  seen.part = state(own);
  press(own, "ArrowRight");
  press(own, "ArrowLeft");
  press(own, "ArrowRight");
  seen.key = state(own);
  press(own, "End");
  press(own, "ArrowRight");
  seen.end = state(own);
  const slider = own.querySelector("input");
  slider.value = 1;
  slider.dispatchEvent(new Event("input"));
  seen.slid = state(own);
  choose(own, "episode", "0");
  seen.first = state(own);
  choose(own, "method", "ad");
  seen.other = state(own);
  robot.querySelector('[data-go="1"]').click();
  seen.robot = state(robot);
  seen.points = robot.querySelectorAll("figure > svg polyline").length;
  seen.pressed = document.querySelectorAll("#card-darkroom [data-line][aria-pressed=true]").length;
  await new Promise((done) => setTimeout(done, 200));
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  seen.table = [...document.querySelectorAll(".gallery .scroll")].map((place) => place.scrollWidth - place.clientWidth);
  seen.asked = performance.getEntriesByType("resource").length;
  seen.faults = faults;
  seen.width = innerWidth;
  parent.postMessage(seen, "*");
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_gallery_works_in_a_narrow_browser(project):  # noqa: F811
    """In a frame, since windows are not as narrow as telephones. What is read is that of the files."""
    without_records("darkroom")
    without_records("robot")
    recorded()
    nothing = {key: {**own, "read": []} for key, own in TASK["episodes"].items()}
    recorded(method="ad", episodes=nothing)
    recorded("robot", names=[], **without_room())
    text = page().replace("<head>", f"<head>{WATCH}", 1)
    Path("used.html").write_text(text.replace("</body>", f"{USE}</body>"), encoding="utf-8")
    Path("frame.html").write_text(FRAME, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={project / 'browser'}"]
    command = [CHROMIUM, *options, "--virtual-time-budget=20000", "--dump-dom", (project / "frame.html").as_uri()]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60).stdout
    seen = json.loads(re.search(r"<pre>(.*?)</pre>", told).group(1))
    assert seen["options"] == [["AD", "RA-DT"], ["42"], ["80, held-out"], ["1 of 3, return 1.5", "2 of 3, return 2"]]
    assert seen["begin"]["now"] == "Step 1 of 3 at column 1, row 1. Return 0 so far. Action east, reward 0."
    assert seen["begin"]["read"] == [] and "too little" in seen["begin"]["text"]
    read = [["1", "1 to 2", "0.813", "1.5", "2.50"], ["3", "2 to 3", "0.500", "1", "1.25"]]
    assert seen["step"]["now"].startswith("Step 2 of 3 at column 2, row 1.") and seen["step"]["read"] == read
    assert seen["step"]["label"].startswith("Room of 3 by 2 cells, goal at column 3, row 1. Step 2 of 3")
    assert seen["step"]["label"].endswith("Dashed: steps 1 to 2 of episode 1, which it reads.")
    assert seen["part"]["label"].endswith("Dashed: steps 2 to 3 of episode 3, which it reads.")
    assert seen["part"]["dashed"] not in (None, seen["step"]["dashed"])
    assert seen["key"]["now"].startswith("Step 3 of 3 at column 3, row 1. Return 1 so far. Action stay, reward 1.")
    assert seen["end"]["now"] == "End of the episode at column 3, row 1. Return 2."
    assert seen["slid"]["now"] == seen["step"]["now"]
    assert seen["first"]["now"] == seen["begin"]["now"]
    assert seen["other"]["text"] == "This method looks nothing up."
    assert seen["robot"]["now"] == "Step 2 of 3. Return 0 so far. Action 1, reward 1." and seen["robot"]["read"] == read
    assert seen["robot"]["label"].startswith("Reward of each step. Step 2 of 3") and seen["points"] == 3
    assert seen["pressed"] > 5
    assert seen["table"] == [0, 0] and seen["wide"] <= 0 and seen["width"] == 320 and seen["asked"] == 0 and seen["faults"] == []
