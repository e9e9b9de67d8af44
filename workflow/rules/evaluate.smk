# Input: the weights of a method; for RA-DT also the DT that encodes. Never the trajectories or the index: the memory of an agent
# starts empty and holds only what it has lived through. Output: one row for each task and in-context episode.


rule evaluate_retrieval:
    """Let RA-DT learn in context: all tasks of the splits, weights frozen, an empty memory for each task."""
    input:
        model=weights,
        encoder=ENCODER,
    output:
        update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
    log:
        "logs/{experiment}/evaluate_retrieval/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/evaluate_retrieval/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=methods("radt"),
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=gpu(SETTINGS.evaluate.device),
    params:
        settings=settings("embed", "evaluate"),
        code=CODE["evaluate"],
    shell:
        "python -m radt.stages.evaluate --experiment {wildcards.experiment} --method {wildcards.method} --seed {wildcards.seed}"
        " --settings {params.settings:q} --model $(dirname {input.model}) --encoder $(dirname {input.encoder})"
        " --output {output} > {log} 2>&1"


rule evaluate_plain:
    """Let AD and DT act on all tasks of the splits, weights frozen."""
    input:
        model=weights,
    output:
        update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
    log:
        "logs/{experiment}/evaluate_plain/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/evaluate_plain/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=methods("ad", "dt"),
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=gpu(SETTINGS.evaluate.device),
    params:
        settings=settings("embed", "evaluate"),
        code=CODE["evaluate"],
    shell:
        "python -m radt.stages.evaluate --experiment {wildcards.experiment} --method {wildcards.method} --seed {wildcards.seed}"
        " --settings {params.settings:q} --model $(dirname {input.model})"
        " --output {output} > {log} 2>&1"
