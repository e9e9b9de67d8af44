"""The timeline of a run, against one that was made up."""

import gc
import os

import pandas as pd
import pytest

from bench import timeline as bench
from radt.errors import RadtError
from radt.pipeline import timeline

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
JOBS = {  # start, stop, CPU seconds, MB: two cores, the second idle from 10 to 30 and from 70 on
    "data/data": (0, 10, 9, 100),
    "train/seed1": (10, 50, 39, 300),
    "train/seed2": (30, 70, 38, 310),
    "evaluate/seed1": (50, 55, 5, 50),
    "figure/figure": (70.2, 75, 4, 20),
}


@pytest.fixture
def benchmarks(tmp_path):
    for name, (start, stop, cpu, memory) in JOBS.items():
        path = tmp_path / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{HEAD}{stop - start}\t-\t{memory}\t0\t0\t0\t0\t0\t0\t{cpu}\n", encoding="utf-8")
        os.utime(path, (1000 + stop, 1000 + stop))
    return tmp_path / "benchmarks"


def test_lanes_idle_time_and_the_chain(benchmarks):
    jobs = timeline.read(benchmarks)
    assert [(f"{job.rule}/{job.name}", round(job.start, 3), round(job.stop, 3), job.cpu, job.memory) for job in jobs] == [
        (name, *values) for name, values in JOBS.items()
    ]
    assert timeline.lanes(jobs) == [0, 0, 1, 0, 0]
    assert [job.name for job in bench.critical(jobs)] == ["data", "seed2", "figure"]
    text = bench.summary(jobs)
    assert "5 jobs, 75 s" in text and "95 CPU s" in text
    assert "lane 0: 60 s busy, 15 s idle" in text and "lane 1: 40 s busy, 35 s idle" in text
    assert "train: 2 jobs, 80 s, 77 CPU s, at most 310 MB" in text


def test_files_and_a_missing_run(benchmarks, tmp_path):
    assert bench.main([str(benchmarks), "--output", str(tmp_path / "timeline")]) == 0
    table = pd.read_csv(tmp_path / "timeline.csv")
    assert tuple(table.columns) == timeline.COLUMNS and len(table) == len(JOBS)
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RadtError, match="run the workflow first"):
        timeline.read(tmp_path / "nothing")


@pytest.mark.filterwarnings("error")  # a file left open
@pytest.mark.parametrize("content", ["", HEAD, "a\tb\n1\t2\n", f"{HEAD}x\n", f"{HEAD}1\n", f"{HEAD}{HEAD}", "\udcff"])
def test_a_file_that_is_no_benchmark_is_one_sentence(benchmarks, content):
    path = benchmarks / "train" / "foreign.tsv"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RadtError, match=r"foreign\.tsv is no benchmark file of Snakemake"):
        timeline.read(benchmarks)
    gc.collect()
