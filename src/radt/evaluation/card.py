"""The model card of a saved agent: description, quick start, results, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from radt.cards import rendered

TEMPLATE = """\
---
library_name: radt
tags: [reinforcement-learning, in-context-learning, decision-transformer]
---

# {{ model }} on {{ title }}

A trained agent that learns in context: it gets better at a new task from episode to episode, without weight updates. Its memory
is empty when it is loaded. It is {{ model }} of radt, a reimplementation of
{{ paper }}.
It acts as the settings `{{ method }}` say. The weights are of seed {{ seed }}.

## Quick start

```python
import radt

agent = radt.load("{{ name }}")
env = agent.suite.environment({{ task }})  # a task of its experiment; others like it will do, for at most {{ horizon }} steps
for episode in range(5):
    observation, _ = env.reset(seed=agent.reset_seed)
    agent.begin()
    done, total = False, 0.0
    while not done:
        observation, reward, terminated, truncated, _ = env.step(agent.act(observation))
        done = terminated or truncated
        agent.receive(reward, done)
        total += reward
    print(episode, total)
```

## Results

Mean return of its in-context episodes, from the evaluation of this very network.

| tasks | number | first episode | last episode ({{ episodes }}) |
|---|---|---|---|
{% for split, row in results.items() -%}
| {{ split.replace("_", "-") }} | {{ row.tasks }} | {{ "%.6g" % row.first }} | {{ "%.6g" % row.last }} |
{% endfor %}
## Settings

The experiment:

```yaml
{{ experiment -}}
```

The network and its training:

```yaml
{{ training -}}
```

## Citation

```bibtex
{{ citation }}
```
"""


def card(
    name: str,
    model: str,
    method: str,
    seed: int,
    title: str,
    results: Mapping[str, Any],
    sections: Mapping[str, Any],
    task: int,
    episodes: int,
    horizon: int,
) -> str:
    """Markdown text. `name` is the argument of `radt.load`, `results` is from `summary`, and `sections` are `experiment` and
    `training`.
    """
    told = {"name": name, "model": model, "method": method, "seed": seed, "title": title, "results": results, "task": task}
    return rendered(TEMPLATE, sections, {**told, "episodes": episodes, "horizon": horizon})


def summary(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """For each split, from rows of an evaluation: the number of `tasks`, and mean returns of `first` and `last` episodes."""
    last = max(int(row["episode"]) for row in rows)
    found: dict[str, Any] = {}
    for split in dict.fromkeys(row["split"] for row in rows):
        own = [row for row in rows if row["split"] == split]
        means = {
            name: [float(row["return"]) for row in own if int(row["episode"]) == number]
            for name, number in (("first", 1), ("last", last))
        }
        found[split] = {"tasks": len(means["first"])} | {name: sum(values) / len(values) for name, values in means.items()}
    return found
