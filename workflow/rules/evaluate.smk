# Input: the weights of a method; for RA-DT also the DT that encodes. Never the trajectories or the index: the memory of an agent
# starts empty and holds only what it has lived through. Output: one row for each task and in-context episode.


rule evaluate_retrieval:
    """Let RA-DT learn in context: all tasks of the splits, weights frozen, an empty memory for each task."""
    input:
        model=weights,
        encoder=lambda wildcards: made("pretrain", ENCODER)(wildcards) if encoder_of(wildcards) == "dt" else [],
    output:
        returns=update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
        record=update("results/{experiment}/evaluate/{method}/seed{seed}.provenance.json"),
    log:
        "logs/{experiment}/evaluate_retrieval/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/evaluate_retrieval/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=methods(*ENCODERS),
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/evaluate_retrieval/{method}_seed{seed}"),
        runtime=minutes("{experiment}/evaluate_retrieval/{method}_seed{seed}"),
        evaluation=1,
        gpu=gpu("evaluate"),
    params:
        settings=lambda wildcards: settings("evaluate", *EMBEDDED[encoder_of(wildcards)])(wildcards),
        encoder=lambda wildcards, input: f"--encoder {Path(input.encoder).parent}" if input.encoder else "",
        code=CODE["evaluate"],
    shell:
        "python -m radt.stages.evaluate --experiment {wildcards.experiment} --method {wildcards.method} --seed {wildcards.seed}"
        " --settings {params.settings:q} --model $(dirname {input.model}) {params.encoder}"
        " --inputs {input} --output {output.returns} --record {output.record} > {log} 2>&1"


rule evaluate_plain:
    """Let AD, DPT and DT act on all tasks of the splits, weights frozen."""
    input:
        model=weights,
    output:
        returns=update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
        record=update("results/{experiment}/evaluate/{method}/seed{seed}.provenance.json"),
    log:
        "logs/{experiment}/evaluate_plain/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/evaluate_plain/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=methods(*PLAIN),
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/evaluate_plain/{method}_seed{seed}"),
        runtime=minutes("{experiment}/evaluate_plain/{method}_seed{seed}"),
        evaluation=1,
        gpu=gpu("evaluate"),
    params:
        settings=settings("evaluate"),
        code=CODE["evaluate"],
    shell:
        "python -m radt.stages.evaluate --experiment {wildcards.experiment} --method {wildcards.method} --seed {wildcards.seed}"
        " --settings {params.settings:q} --model $(dirname {input.model})"
        " --inputs {input} --output {output.returns} --record {output.record} > {log} 2>&1"


rule evaluate_reference:
    """Play all tasks of the splits without a network: at random, or by replaying the best episode so far."""
    output:
        returns=update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
        record=update("results/{experiment}/evaluate/{method}/seed{seed}.provenance.json"),
    log:
        "logs/{experiment}/evaluate_reference/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/evaluate_reference/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=methods(*REFERENCES),
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/evaluate_reference/{method}_seed{seed}"),
        runtime=minutes("{experiment}/evaluate_reference/{method}_seed{seed}"),
        evaluation=1,
    params:
        settings=settings("evaluate"),
        code=CODE["evaluate"],
    shell:
        "python -m radt.stages.evaluate --experiment {wildcards.experiment} --method {wildcards.method} --seed {wildcards.seed}"
        " --settings {params.settings:q} --output {output.returns} --record {output.record} > {log} 2>&1"
