# Input: CSV files only, of the evaluations, of the trainings and of the paper. Output: what people look at.

RESULTS = {"category": "Results", "subcategory": "{experiment}"}  # where the report shows what an experiment came to


rule figure:
    """Curves, table and figure of one experiment."""
    input:
        evaluations=collect(
            "results/{{experiment}}/evaluate/{method}/seed{seed}.csv", method=SETTINGS.methods, seed=SETTINGS.seeds
        ),
        metrics=lambda wildcards: RUNS.metrics(wildcards.experiment, SETTINGS.methods),
        paper="config/paper_curves.csv",
    output:
        pdf=report(update("results/{experiment}/figure.pdf"), caption="../report/figure.rst", **RESULTS),
        png=report(update("results/{experiment}/figure.png"), caption="../report/figure.rst", **RESULTS),
        table=report(update("results/{experiment}/table.csv"), caption="../report/table.rst", **RESULTS),
        curves=update("results/{experiment}/curves.csv"),
        seeds=update("results/{experiment}/seeds.csv"),
        record=update("results/{experiment}/provenance.json"),
    log:
        "logs/{experiment}/figure/figure.log",
    benchmark:
        "benchmarks/{experiment}/figure/figure.tsv"
    wildcard_constraints:
        experiment="|".join(SETTINGS.experiments),
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/figure/figure"),
        runtime=minutes("{experiment}/figure/figure"),
    params:
        settings=settings("evaluate", "figure"),
        code=CODE["figure"],
    shell:
        "python -m radt.stages.figure --experiment {wildcards.experiment} --settings {params.settings:q}"
        " --evaluations {input.evaluations} --metrics {input.metrics} --paper {input.paper}"
        " --inputs {input} --output $(dirname {output.pdf}) --record {output.record} > {log} 2>&1"


rule overview:
    """All experiments on one page: what the paper has and what was obtained."""
    input:
        curves=collect("results/{experiment}/curves.csv", experiment=SETTINGS.experiments),
        tables=collect("results/{experiment}/table.csv", experiment=SETTINGS.experiments),
    output:
        html=report(update("results/overview.html"), caption="../report/overview.rst", category="Overview"),
        pdf=report(update("results/overview.pdf"), caption="../report/overview.rst", category="Overview"),
        png=report(update("results/overview.png"), caption="../report/overview.rst", category="Overview"),
        table=report(update("results/overview.csv"), caption="../report/table.rst", category="Overview"),
        record=update("results/overview.provenance.json"),
    log:
        "logs/overview.log",
    benchmark:
        "benchmarks/overview.tsv"
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("overview"),
        runtime=minutes("overview"),
    params:
        settings=overview_settings(),
        code=CODE["overview"],
    shell:
        "python -m radt.stages.overview --settings {params.settings:q} --curves {input.curves} --tables {input.tables}"
        " --inputs {input} --output $(dirname {output.pdf}) --record {output.record} > {log} 2>&1"


rule ablation:
    """Curves and table of the variants of an experiment, beside what the paper found."""
    input:
        evaluations=variants,
        learning=lambda wildcards: list(RUNS.sources(wildcards.ablation).values()),
        paper="config/paper_ablations.csv",
    output:
        pdf=report(update("results/ablations/{ablation}.pdf"), caption="../report/ablation.rst", category="Variants"),
        png=report(update("results/ablations/{ablation}.png"), caption="../report/ablation.rst", category="Variants"),
        table=report(update("results/ablations/{ablation}.csv"), caption="../report/ablation.rst", category="Variants"),
        curves=update("results/ablations/{ablation}.curves.csv"),
        learning=update("results/ablations/{ablation}.learning.csv"),
        record=update("results/ablations/{ablation}.provenance.json"),
    log:
        "logs/ablations/{ablation}.log",
    benchmark:
        "benchmarks/ablations/{ablation}.tsv"
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("ablations/{ablation}"),
        runtime=minutes("ablations/{ablation}"),
    params:
        settings=ablation_settings,
        learning=lambda wildcards: [f"{variant}={file}" for variant, file in RUNS.sources(wildcards.ablation).items()],
        code=CODE["ablation"],
    shell:
        "python -m radt.stages.ablation --ablation {wildcards.ablation} --settings {params.settings:q}"
        " --evaluations {input.evaluations} --paper {input.paper} --learning {params.learning}"
        " --inputs {input} --output $(dirname {output.pdf}) --record {output.record} > {log} 2>&1"
