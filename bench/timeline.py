"""Where the time of a run went: `python -m bench.timeline benchmarks/darkroom --output docs/bench/timeline`."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from radt import artifacts
from radt.pipeline.timeline import Job, lanes, read, table
from radt.stages import run


def critical(jobs: list[Job]) -> list[Job]:
    """The chain that set the length of the run: the last job, the one that ended last before it began, and so on."""
    chain = [max(jobs, key=lambda job: job.stop)]
    while before := [job for job in jobs if job.stop <= chain[0].start + 0.5 and job is not chain[0]]:
        chain.insert(0, max(before, key=lambda job: job.stop))
    return chain


def summary(jobs: list[Job]) -> str:
    """Length, busy share, idle seconds of every lane, the chain, and the totals by rule, as text."""
    end, rows = max(job.stop for job in jobs), list(zip(jobs, lanes(jobs), strict=True))
    lines = [f"{len(jobs)} jobs, {end:.0f} s from the first start to the last end, {sum(job.cpu for job in jobs):.0f} CPU s"]
    for lane in sorted({lane for _, lane in rows}):
        busy = sum(job.stop - job.start for job, own in rows if own == lane)
        lines.append(f"lane {lane}: {busy:.0f} s busy, {end - busy:.0f} s idle")
    lines.append("chain: " + ", ".join(f"{job.rule}/{job.name} {job.stop - job.start:.0f} s" for job in critical(jobs)))
    for rule in dict.fromkeys(job.rule for job in jobs):
        own = [job for job in jobs if job.rule == rule]
        wall, cpu, memory = sum(job.stop - job.start for job in own), sum(job.cpu for job in own), max(job.memory for job in own)
        lines.append(f"{rule}: {len(own)} jobs, {wall:.0f} s, {cpu:.0f} CPU s, at most {memory:.0f} MB")
    return "\n".join(lines)


def draw(jobs: list[Job]) -> Figure:
    """Bars of jobs over lanes, one colour for each rule."""
    rules = list(dict.fromkeys(job.rule for job in jobs))
    colors = matplotlib.colormaps["tab10"]
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    for job, lane in zip(jobs, lanes(jobs), strict=True):
        color = colors(rules.index(job.rule))
        axes.barh(lane, job.stop - job.start, left=job.start, color=color, edgecolor="white", linewidth=0.5)
    for rule in rules:
        axes.barh(0, 0, color=colors(rules.index(rule)), label=rule)
    axes.set(xlabel="seconds", yticks=sorted(set(lanes(jobs))), ylabel="core")
    figure.legend(loc="outside upper center", ncols=5, frameon=False, fontsize="small")
    return figure


def main(argv: list[str] | None = None) -> int:
    """Print the summary and write `<output>.csv` and `<output>.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", type=Path, help="directory of benchmark files of one run")
    parser.add_argument("--output", required=True, type=Path, help="path of the two files, without suffix")
    given = parser.parse_args(argv)
    jobs, image = read(given.benchmarks), io.BytesIO()
    draw(jobs).savefig(image, format="png", dpi=120, metadata={"Software": None})
    artifacts.write_text(given.output.with_suffix(".csv"), table(jobs))
    artifacts.write_bytes(given.output.with_suffix(".png"), image.getvalue())
    print(summary(jobs))
    return 0


if __name__ == "__main__":
    run(main)
