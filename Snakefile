# The workflow: learning histories -> pre-trained DT -> memory index -> RA-DT, AD and DPT per seed -> in-context evaluation -> figure.
# Settings: config/config.yaml (manual: config/README.md). Files: results/README.md. Run: snakemake results/darkroom/figure.pdf
import sys

if sys.version_info < (3, 11):
    raise SystemExit(
        "error: radt needs Python 3.11 or newer, this is %d.%d: run snakemake with a newer one" % sys.version_info[:2]
    )


include: "workflow/package.smk"
include: "workflow/settings.smk"


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/common.smk"
include: "workflow/resources.smk"
include: "workflow/staleness.smk"
include: "workflow/inputs.smk"
include: "workflow/rules/stage.smk"
include: "workflow/rules/trajectories.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/memory.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/figure.smk"


onstart:
    ask_slurm()
    note_bfloat16()
    tell_status()


onsuccess:
    tell_figures()
    track()


onerror:
    track()


rule all:
    """Figure and table of every experiment in the configuration, and one page of all."""
    default_target: True
    input:
        collect("results/{experiment}/figure.pdf", experiment=SETTINGS.experiments),
        "results/overview.pdf",


rule ablations:
    """Figure and table of every ablation in the configuration."""
    input:
        collect("results/ablations/{ablation}.pdf", ablation=SETTINGS.ablations),
