# Input: CSV files only, of the evaluations, of the trainings and of the paper. Output: what people look at.


rule figure:
    """Curves, table and figure of one experiment."""
    input:
        evaluations=collect(
            "results/{{experiment}}/evaluate/{method}/seed{seed}.csv", method=SETTINGS.methods, seed=SETTINGS.seeds
        ),
        metrics=lambda wildcards: metrics(wildcards.experiment, SETTINGS.methods),
        paper="config/paper_curves.csv",
    output:
        pdf=report(update("results/{experiment}/figure.pdf"), caption="../report/figure.rst", category="{experiment}"),
        png=report(update("results/{experiment}/figure.png"), caption="../report/figure.rst", category="{experiment}"),
        table=report(update("results/{experiment}/table.csv"), caption="../report/table.rst", category="{experiment}"),
        curves=update("results/{experiment}/curves.csv"),
    log:
        "logs/{experiment}/figure/figure.log",
    benchmark:
        "benchmarks/{experiment}/figure/figure.tsv"
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=settings("evaluate", "figure"),
        code=CODE["figure"],
    shell:
        "python -m radt.stages.figure --experiment {wildcards.experiment} --settings {params.settings:q}"
        " --evaluations {input.evaluations} --metrics {input.metrics} --paper {input.paper}"
        " --output $(dirname {output.pdf}) > {log} 2>&1"
