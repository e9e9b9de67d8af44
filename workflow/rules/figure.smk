# Input: CSV files only, of the evaluations, of the trainings and of the paper. Output: what people look at.

RESULTS = {"category": "Results", "subcategory": "{experiment}"}  # where the report shows what an experiment came to


use rule stage as figure with:
    """Curves, table and figure of one experiment."""
    input:
        evaluations=evaluations,
        metrics=lambda wildcards: RUNS.metrics(wildcards.experiment, SETTINGS.methods_of(wildcards.experiment)),
        paper="config/paper_curves.csv",
    output:
        report(update(["results/{experiment}/figure.pdf", "results/{experiment}/figure.png"]), "../report/figure.rst", **RESULTS),
        report(update("results/{experiment}/table.csv"), "../report/table.rst", **RESULTS),
        update(["results/{experiment}/curves.csv", "results/{experiment}/seeds.csv"]),
        record=update("results/{experiment}/provenance.json"),
    pathvars:
        job="{experiment}/figure/figure",
    wildcard_constraints:
        experiment="|".join(SETTINGS.experiments),
    params:
        settings=settings("evaluate", "figure"),
        command="figure --experiment {experiment}",
        reads=files,


use rule stage as overview with:
    """All experiments on one page: what the paper has and what was obtained."""
    input:
        curves=collect("results/{experiment}/curves.csv", experiment=SETTINGS.experiments),
        tables=collect("results/{experiment}/table.csv", experiment=SETTINGS.experiments),
    output:
        report(update(collect("results/overview.{kind}", kind=["html", "pdf", "png"])), "../report/overview.rst", "Overview"),
        report(update("results/overview.csv"), "../report/table.rst", "Overview"),
        record=update("results/overview.provenance.json"),
    pathvars:
        job="overview",
    params:
        settings=overview_settings(),
        command="overview",
        reads=files,


use rule stage as ablation with:
    """Curves and table of the variants of an experiment, beside what the paper found."""
    input:
        learning_curves,
        evaluations=variants,
        paper="config/paper_ablations.csv",
    output:
        report(
            update(collect("results/ablations/{{ablation}}.{kind}", kind=["pdf", "png", "csv"])),
            "../report/ablation.rst",
            "Variants",
        ),
        update(["results/ablations/{ablation}.curves.csv", "results/ablations/{ablation}.learning.csv"]),
        record=update("results/ablations/{ablation}.provenance.json"),
    pathvars:
        job="ablations/{ablation}",
    params:
        settings=ablation_settings,
        command="ablation --ablation {ablation}",
        reads=files,
        options=learning,
