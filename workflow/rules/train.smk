# Input: trajectories; for RA-DT also the DT that encodes, the embedded queries and the index. Output: the three files of a trained
# model. Checkpoints are in state/, which no rule declares: a training removes them itself when it is done.


rule train_retrieval:
    """Train RA-DT for one seed, with contexts retrieved from the index."""
    input:
        trajectories="results/{experiment}/trajectories/manifest.json",
        encoder=ENCODER,
        embeddings="results/{experiment}/embed/dt/embeddings.safetensors",
        index="results/{experiment}/index/dt/index.safetensors",
    output:
        model=update("results/{experiment}/train/radt/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/train/radt/seed{seed}/config.json"),
        metrics=update("results/{experiment}/train/radt/seed{seed}/metrics.csv"),
    log:
        "logs/{experiment}/train_retrieval/seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/train_retrieval/seed{seed}.tsv"
    priority: 5
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
        gpu=gpu(SETTINGS.train_retrieval.optimization.device),
    params:
        settings=settings("embed", "train_retrieval"),
        code=CODE["train_retrieval"],
    shell:
        "python -m radt.stages.train_retrieval --experiment {wildcards.experiment} --seed {wildcards.seed} --settings {params.settings:q}"
        " --trajectories $(dirname {input.trajectories}) --encoder $(dirname {input.encoder})"
        " --embeddings $(dirname {input.embeddings}) --index $(dirname {input.index})"
        " --state state/{wildcards.experiment}/radt/seed{wildcards.seed} --output $(dirname {output.model}) > {log} 2>&1"


rule train_ad:
    """Train Algorithm Distillation for one seed."""
    input:
        "results/{experiment}/trajectories/manifest.json",
    output:
        model=update("results/{experiment}/train/ad/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/train/ad/seed{seed}/config.json"),
        metrics=update("results/{experiment}/train/ad/seed{seed}/metrics.csv"),
    log:
        "logs/{experiment}/train_ad/seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/train_ad/seed{seed}.tsv"
    priority: 5
    conda:
        "../../environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=1440,
        gpu=gpu(SETTINGS.train_ad.optimization.device),
    params:
        settings=settings("train_ad"),
        code=CODE["train_ad"],
    shell:
        "python -m radt.stages.train_ad --experiment {wildcards.experiment} --seed {wildcards.seed} --settings {params.settings:q}"
        " --trajectories $(dirname {input}) --state state/{wildcards.experiment}/ad/seed{wildcards.seed}"
        " --output $(dirname {output.model}) > {log} 2>&1"
