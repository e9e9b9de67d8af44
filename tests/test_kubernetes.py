"""Jobs that the profile hands to Kubernetes fit its schema and ask for what rules ask for; a stand-in for kubectl runs them."""

import sys

import kubernetes_validate
import pytest
import yaml

from project import FIGURE, ROOT, asked, content, run

PROFILE = ROOT / "profiles/kubernetes"
SUBMIT = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/kubernetes", "--seconds-between-status-checks", "1"]
KUBECTL = f"""#!{sys.executable}
import pathlib, subprocess, sys, yaml
jobs = pathlib.Path("jobs")
if sys.argv[1] == "create":
    name = f"job.batch-radt-{{len(list(jobs.iterdir()))}}"
    (jobs / name).write_text(sys.stdin.read())
    (container,) = yaml.safe_load((jobs / name).read_text())["spec"]["template"]["spec"]["containers"]
    failed = subprocess.run(container["command"], capture_output=True).returncode
    (jobs / name).with_suffix(".status").write_text("FailureTarget Failed" if failed else "SuccessCriteriaMet Complete")
    print(name)
else:
    print((jobs / sys.argv[2]).with_suffix(".status").read_text())
"""


def test_figure_through_kubernetes_is_the_local_one_and_its_jobs_fit_the_schema(copy, made):
    (copy / "bin").mkdir()
    (copy / "jobs").mkdir()
    (copy / "bin/kubectl").write_text(KUBECTL, encoding="utf-8")
    (copy / "bin/kubectl").chmod(0o755)
    for name in ("results/darkroom/evaluate/random/seed42.csv", FIGURE):
        (copy / name).unlink()
    memory, minutes = asked(FIGURE, copy)["benchmarks/darkroom/evaluate_reference/random_seed42.tsv"]
    status, text = run([*SUBMIT, "--", FIGURE], copy, PATH=f"{copy}/bin:/usr/bin:/bin")
    assert status == 0, text
    assert content(copy) == content(made)
    evaluation, figure = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(copy.glob("jobs/*-[0-9]"))]
    for job in (evaluation, figure):
        kubernetes_validate.validate(job, "1.30", strict=True)
    spec = evaluation["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert spec["activeDeadlineSeconds"] == 60 * minutes and container["workingDir"] == str(copy)
    assert container["resources"] == {
        "requests": {"cpu": 1, "memory": f"{memory}M"},
        "limits": {"memory": f"{memory}M", "nvidia.com/gpu": 0},
    }


def test_the_volume_fits_the_schema_and_is_that_of_the_jobs():
    claim = yaml.safe_load((PROFILE / "volume.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(claim, "1.30", strict=True)
    (volume,) = yaml.safe_load((PROFILE / "job.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@pytest.mark.parametrize(
    ("told", "status"), [("", "running"), ("Complete", "success"), ("FailureTarget Failed", "failed"), ("NotFound", "failed")]
)
def test_what_kubernetes_tells_of_a_job_is_understood(tmp_path, told, status):
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{told}'\n", encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    assert run(["env", f"PATH={tmp_path}:/usr/bin:/bin", str(PROFILE / "status.sh"), "job"], ROOT) == (0, f"{status}\n")
