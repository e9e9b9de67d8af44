"""The paper's results against ours, as one self-contained HTML table: the first page of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from radt.figures.style import name_of
from radt.settings.experiment import Experiment
from radt.settings.registry import THEMES

COLOURS = {"better": "#cfe3f7", "within": "#ececec", "worse": "#fbdcb8"}  # blue, grey, orange: apart for colour-blind readers
SIGNS = {"better": "▲ better", "within": "● within", "worse": "▼ worse"}
SPLITS = {"held_out": "held-out tasks", "unseen": "unseen levels", "train": "training tasks", "validation": "validation tasks"}
TEMPLATE = """\
{# Snakemake's report cuts off what is higher than 60vh. #}
{% macro interval(row, value, ends) -%}
  {% if row[value] is not none -%}
    {{ row[value] | number }} <small>(
    {%- if row[ends ~ "_ci_low"] is none %}no interval
    {%- else %}{{ row[ends ~ "_ci_low"] | number }}&ndash;{{ row[ends ~ "_ci_high"] | number }}
    {%- endif %})</small>
  {%- endif %}
{%- endmacro %}
{% macro value(row, name) -%}
  {% set verdict = row[name ~ "_verdict"] %}
  {% set kind = {"class": verdict} if verdict else {} %}
  <td>{{ row["paper_" ~ name] | number }}</td>
  <td{{ kind | xmlattr }}>{{ interval(row, name, name) }}</td>
  <td>{{ [row["paper_" ~ name ~ "_ratio"], row[name ~ "_ratio"]] | reject("none") | map("share") | join(" → ") }}</td>
  <td{{ kind | xmlattr }}>{{ signs.get(verdict, "") }}</td>
{%- endmacro %}
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Expected and obtained</title></head><body><div class="radt"><style>
.radt{font:13px/1.3 sans-serif;color:#222}
.radt table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.radt .rows{max-height:60vh;overflow:auto}
.radt thead{position:sticky;top:0}
.radt th,.radt td{padding:2px 6px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
.radt th{background:#f6f6f6;font-weight:600;vertical-align:bottom}
.radt td:first-child,.radt th:first-child{text-align:left}
.radt th.group{text-align:left;background:#e4e4e4}
.radt small{color:#555}
{% for verdict, colour in colours.items() %}
.radt td.{{ verdict }}{background:{{ colour }}}
{% endfor %}
</style>
<p>Averages against the paper's, all experiments and methods that it reports:
{%- for verdict in signs %}
{{- " " }}<b>{{ rows | selectattr("average_verdict", "equalto", verdict) | list | length }}</b> {{ verdict }}
{{- "." if loop.last else "," }}
{%- endfor %}
</p>
<p><small>Expected: read off the paper's figures (arXiv 2410.07071). Obtained: mean over seeds and tasks with its
{{ "%g" % (100 * confidence) }}% bootstrap interval. Within: the interval holds the paper's value; better, worse: it lies above
or below it. Of the optimum: expected → obtained, divided by the mean best possible return of the tasks.
{% if rows | selectattr("average_ci_low", "none") | list %}
Of fewer than two seeds or tasks there is no interval and no verdict.
{% endif %}
</small></p>
<div class="rows"><table><thead>
<tr><th rowspan=2>Method</th><th colspan=4>Last episode</th><th colspan=4>Average over all episodes</th>
<th rowspan=2>RA-DT is better<br><small>chance on a task</small></th><th colspan=4>Training</th></tr>
<tr>
{% for _ in range(2) %}
<th>expected</th><th>obtained</th><th>of the<br>optimum</th><th>verdict</th>
{% endfor %}
<th>seeds</th><th>updates</th><th>parameters</th><th>CPU time</th></tr>
</thead>
<tbody>
{% for name, own in groups.items() %}
<tr><th class="group" colspan=14>{{ titles[name] }} — {{ splits[own[0].split] }}, best possible
{{- " " ~ (own[0].optimum | number or "unknown") }} <small>({{ name }})</small></th></tr>
{% for row in own %}
<tr><td>{{ row.label }}</td>
{{ value(row, "last") }}
{{ value(row, "average") }}
<td>{{ interval(row, "probability_radt_better", "probability") }}</td>
<td>{{ row.seeds }}</td><td>{{ row.updates | whole }}</td><td>{{ row.parameters | whole }}</td>
<td>{{ row.cpu_seconds | duration }}</td></tr>
{% endfor %}
{% endfor %}
</tbody></table></div></div></body></html>
"""


def page(rows: pd.DataFrame, experiments: Mapping[str, Experiment], confidence: float) -> str:
    """The table rows of `radt.figures.overview.tables` as an HTML document: UTF-8, without links to anything outside."""
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    groups: dict[str, list[dict[Any, Any]]] = {}
    for row in records:
        label = name_of(row["method"], row["model"]) + THEMES[row["model"]].note
        groups.setdefault(row["experiment"], []).append({**row, "label": label})
    titles = {name: experiments[name].title for name in groups}
    words = {"signs": SIGNS, "colours": COLOURS, "splits": SPLITS}
    return environment().from_string(TEMPLATE).render(rows=records, groups=groups, titles=titles, confidence=confidence, **words)


def environment() -> Environment:
    """The environment that renders the page: text is escaped, an unknown name is an error."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"number": _number, "share": "{:.0%}".format, "whole": _whole, "duration": _duration}
    return environment


def _number(value: float | None) -> str:
    """A number with three digits: 0.43, 6.30, 81.6, 378; empty if unknown."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _whole(value: float | None) -> str:
    """A whole number with separated thousands; empty if unknown."""
    return "" if value is None else f"{int(value):,}"


def _duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, with their unit; empty if unknown."""
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
