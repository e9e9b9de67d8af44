# Input: trajectories; for RA-DT also the DT that encodes, the embedded queries and the index. Output: the three files of a trained
# model. Checkpoints are in state/, which no rule declares: a training removes them itself when it is done.


rule train_retrieval:
    """Train RA-DT for one seed, with contexts retrieved from the index."""
    input:
        trajectories=made("trajectories", "manifest.json"),
        encoder=lambda wildcards: made("pretrain", ENCODER)(wildcards) if wildcards.model == "radt" else [],
        embeddings=lambda wildcards: made(f"embed/{ENCODERS[wildcards.model]}", "embeddings.safetensors")(wildcards),
        index=lambda wildcards: made(f"index/{ENCODERS[wildcards.model]}", "index.safetensors")(wildcards),
    output:
        model=update("results/{experiment}/train/{model}/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/train/{model}/seed{seed}/config.json"),
        metrics=update("results/{experiment}/train/{model}/seed{seed}/metrics.csv"),
        record=update("results/{experiment}/train/{model}/seed{seed}/provenance.json"),
    log:
        "logs/{experiment}/train_retrieval/{model}_seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/train_retrieval/{model}_seed{seed}.tsv"
    wildcard_constraints:
        model="|".join(ENCODERS),
    priority: 5
    conda:
        "../../envs/radt.yaml"
    threads: ranks("train_retrieval")
    resources:
        mem_mb=memory("{experiment}/train_retrieval/{model}_seed{seed}"),
        runtime=minutes("{experiment}/train_retrieval/{model}_seed{seed}"),
        gpu=gpu("train_retrieval"),
    params:
        settings=lambda wildcards: settings("train_retrieval", *EMBEDDED[ENCODERS[wildcards.model]])(wildcards),
        encoder=lambda wildcards, input: f"--encoder {Path(input.encoder).parent}" if input.encoder else "",
        torchrun=torchrun("train_retrieval"),
        code=CODE["train_retrieval"],
    shell:
        "{params.torchrun}python -m radt.stages.train_retrieval --model {wildcards.model} --seed {wildcards.seed}"
        " --settings {params.settings:q}"
        " --trajectories $(dirname {input.trajectories}) {params.encoder}"
        " --embeddings $(dirname {input.embeddings}) --index $(dirname {input.index})"
        " --state state/{wildcards.experiment}/{wildcards.model}/seed{wildcards.seed}"
        " --inputs {input} --output $(dirname {output.model}) --record {output.record} > {log} 2>&1"


rule train_ad:
    """Train Algorithm Distillation for one seed."""
    input:
        made("trajectories", "manifest.json"),
    output:
        model=update("results/{experiment}/train/ad/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/train/ad/seed{seed}/config.json"),
        metrics=update("results/{experiment}/train/ad/seed{seed}/metrics.csv"),
        record=update("results/{experiment}/train/ad/seed{seed}/provenance.json"),
    log:
        "logs/{experiment}/train_ad/seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/train_ad/seed{seed}.tsv"
    priority: 5
    conda:
        "../../envs/radt.yaml"
    threads: ranks("train_ad")
    resources:
        mem_mb=memory("{experiment}/train_ad/seed{seed}"),
        runtime=minutes("{experiment}/train_ad/seed{seed}"),
        gpu=gpu("train_ad"),
    params:
        settings=settings("train_ad"),
        torchrun=torchrun("train_ad"),
        code=CODE["train_ad"],
    shell:
        "{params.torchrun}python -m radt.stages.train_ad --seed {wildcards.seed} --settings {params.settings:q}"
        " --trajectories $(dirname {input}) --state state/{wildcards.experiment}/ad/seed{wildcards.seed}"
        " --inputs {input} --output $(dirname {output.model}) --record {output.record} > {log} 2>&1"


rule train_dpt:
    """Train the Decision-Pretrained Transformer for one seed."""
    input:
        made("trajectories", "manifest.json"),
    output:
        model=update("results/{experiment}/train/dpt/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/train/dpt/seed{seed}/config.json"),
        metrics=update("results/{experiment}/train/dpt/seed{seed}/metrics.csv"),
        record=update("results/{experiment}/train/dpt/seed{seed}/provenance.json"),
    log:
        "logs/{experiment}/train_dpt/seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/train_dpt/seed{seed}.tsv"
    priority: 5
    conda:
        "../../envs/radt.yaml"
    threads: ranks("train_dpt")
    resources:
        mem_mb=memory("{experiment}/train_dpt/seed{seed}"),
        runtime=minutes("{experiment}/train_dpt/seed{seed}"),
        gpu=gpu("train_dpt"),
    params:
        settings=settings("train_dpt"),
        torchrun=torchrun("train_dpt"),
        code=CODE["train_dpt"],
    shell:
        "{params.torchrun}python -m radt.stages.train_dpt --seed {wildcards.seed} --settings {params.settings:q}"
        " --trajectories $(dirname {input}) --state state/{wildcards.experiment}/dpt/seed{wildcards.seed}"
        " --inputs {input} --output $(dirname {output.model}) --record {output.record} > {log} 2>&1"
