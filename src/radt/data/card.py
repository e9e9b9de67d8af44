"""The data set card of learning histories: what they are, how to load them, how they were made, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from radt.cards import rendered
from radt.data.trajectories import OPTIONAL, Trajectories, columns

SHAPES = {"episode_start": "[E + 1]", "episode_task": "[E]", "episode_history": "[E]", "rewards": "[N]", "terminated": "[E]"}
"""Of the columns that every experiment has alike, for N transitions and E episodes."""
MEANINGS = {
    "observations": "what the agent saw before the action",
    "actions": "what it did",
    "rewards": "reward of the action",
    "episode_start": "first transition of each episode, and N",
    "episode_task": "task of each episode",
    "episode_history": "number of the learning history among those of its task",
    "terminated": "1: the episode ended by itself, 0: it was cut off",
    "labels": "what an expert would have done",
}
NOT_DESCRIBING = ("task", "split", "episodes", "return_first_10", "return_last_10", "optimum", "expert", "random")
"""Keys of a task in the manifest that do not say what it is."""
TEMPLATE = """\
---
license: {{ license }}
pretty_name: Learning histories, {{ title }}
task_categories: [reinforcement-learning]
tags: [radt, in-context-learning, learning-histories]
viewer: false
---

# Learning histories, {{ title }}

A learning history holds all episodes of one learner on one task, in the order in which it learned. Methods that learn in context,
such as AD, DPT and RA-DT, train on such histories. These were written by radt, a reimplementation of
{{ paper }}.

| | |
|---|---|
| suite | {{ suite }} |
| tasks | {{ tasks }}: {% for split, number in splits.items() %}{{ number }} {{ split }}{{ ", " if not loop.last }}{% endfor %} |
| histories | {{ histories }}, all of training tasks: the other tasks are for evaluation |
| episodes | {{ episodes }}, of at most {{ horizon }} steps |
| transitions | {{ steps }} |
| mean return | {{ "%.6g" % first }} in the first episode of a history, {{ "%.6g" % last }} in the last |

Tasks differ in {{ differ }}. `manifest.json` describes each of them, the first one so:

```yaml
{{ task -}}
```

## Quick start

```python
import json
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors.numpy import load_file

folder = Path(snapshot_download("{{ name }}", repo_type="dataset"))
manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
histories = {}
for shard in manifest["shards"]:
    columns = load_file(folder / shard["file"])
    start = columns["episode_start"]
    for episode, key in enumerate(zip(columns["episode_task"].tolist(), columns["episode_history"].tolist())):
        steps = slice(start[episode], start[episode + 1])
        parts = {part: columns[part][steps] for part in ("observations", "actions", "rewards")}
        histories.setdefault(key, []).append(parts)
for (task, number), episodes in histories.items():
    first, last = (episodes[place]["rewards"].sum() for place in (0, -1))
    print(f"task {task}, history {number}: {len(episodes)} episodes, return {first:g} in the first, {last:g} in the last")
```

To train on them with radt, run `python -m radt download {{ name }}` in its folder, and name the folder that it prints in a file
`mine.yaml`:

```yaml
{{ configuration -}}
```

Then `snakemake --configfile mine.yaml -- results/{{ experiment }}/figure.pdf` makes all results.

## Files

`manifest.json` says what is in the shards `tasks_*.safetensors` and holds their sha256; `learning.csv` is the mean learning
curve. The columns of a shard, for N transitions and E episodes:

| column | type | shape | meaning |
|---|---|---|---|
{% for column in table -%}
| `{{ column.name }}` | {{ column.dtype }} | {{ column.shape }} | {{ column.meaning }} |
{% endfor %}
## How they were made

```yaml
{{ source -}}
```
{% if files %}
They were converted from {{ files }} files, whose sha256 `manifest.json` holds.
{% endif %}
By radt {{ radt }}, commit {{ commit }}, on {{ finished }}.

## License and citation

License: {{ license }}.

```bibtex
{{ citation }}
```
"""


def card(name: str, license: str, data: Trajectories, title: str, made: Mapping[str, str]) -> str:
    """Markdown text. `name` is the repository, `license` an identifier of the Hub, `made` has `commit`, `finished` and `radt`."""
    manifest = data.manifest
    room, tasks, source = manifest["room"], manifest["tasks"], dict(manifest["source"])
    files, splits = source.pop("files", {}), [task["split"] for task in tasks]
    own = {**room, "trajectories": {"source": "import", "import_folder": "FOLDER"}}
    differ = " and ".join(f"`{key}`" for key in tasks[0] if key not in NOT_DESCRIBING)
    sections = {"task": tasks[0], "source": source, "configuration": {"experiments": {manifest["experiment"]: own}}}
    told = {key: manifest[key] for key in ("experiment", "episodes", "steps")} | {
        "tasks": len(tasks),
        "files": len(files),
        "differ": differ,
    }
    told |= {"name": name, "license": license, "title": title, "suite": room.get("suite", "grid"), "horizon": data.spec.horizon}
    told |= {"splits": {split.replace("_", "-"): splits.count(split) for split in dict.fromkeys(splits)}, "table": _table(data)}
    return rendered(TEMPLATE, sections, {**told, **summary(data), **made})


def summary(data: Trajectories) -> dict[str, float]:
    """How many `histories` there are, and the mean returns of their `first` and `last` episodes."""
    first, last = [], []
    for shard in data.shards:
        returns, start = shard.returns(), shard.history_start()
        first.append(returns[start[:-1]])
        last.append(returns[start[1:] - 1])
    return {
        "histories": sum(map(len, first)),
        "first": float(np.concatenate(first).mean()),
        "last": float(np.concatenate(last).mean()),
    }


def _table(data: Trajectories) -> list[dict[str, str]]:
    """Name, type, shape and meaning of each column that all shards have."""
    spec = data.spec
    seen = ", ".join(map(str, ("N", *spec.observation.shape)))
    done = "[N]" if len(spec.actions) == 1 else f"[N, {len(spec.actions)}]"
    shapes = {**SHAPES, "observations": f"[{seen}]", "actions": done, "labels": done}
    present = [name for name in OPTIONAL if all(getattr(shard, name) is not None for shard in data.shards)]
    return [
        {"name": name, "dtype": dtype, "shape": shapes[name], "meaning": MEANINGS[name]}
        for name, dtype in columns(spec, *present).items()
    ]
