# Input: nothing. Output: the learning histories of all training tasks, `manifest.json` and the shards that it names.


rule trajectories:
    """Learning histories of all training tasks: generated, downloaded or imported."""
    output:
        update("results/{experiment}/trajectories/manifest.json"),
    log:
        "logs/{experiment}/trajectories/trajectories.log",
    benchmark:
        "benchmarks/{experiment}/trajectories/trajectories.tsv"
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("trajectories"),
        code=CODE["trajectories"],
    shell:
        "python -m radt.stages.trajectories --experiment {wildcards.experiment} --settings {params.settings:q}"
        " --output $(dirname {output}) > {log} 2>&1"
