# Input: trajectories. Output: the Decision Transformer, `model.safetensors`, `config.json` and `metrics.csv` for each seed.


rule pretrain:
    """Train the Decision Transformer of one seed: the DT baseline, and the encoder of RA-DT."""
    input:
        made("trajectories", "manifest.json"),
    output:
        model=update("results/{experiment}/pretrain/seed{seed}/model.safetensors"),
        config=update("results/{experiment}/pretrain/seed{seed}/config.json"),
        metrics=update("results/{experiment}/pretrain/seed{seed}/metrics.csv"),
        record=update("results/{experiment}/pretrain/seed{seed}/provenance.json"),
    log:
        "logs/{experiment}/pretrain/seed{seed}.log",
    benchmark:
        "benchmarks/{experiment}/pretrain/seed{seed}.tsv"
    priority: 10
    conda:
        "../../envs/radt.yaml"
    threads: ranks("pretrain")
    resources:
        mem_mb=memory("{experiment}/pretrain/seed{seed}"),
        runtime=minutes("{experiment}/pretrain/seed{seed}"),
        gpu=gpu("pretrain"),
    params:
        settings=settings("pretrain"),
        torchrun=torchrun("pretrain"),
        code=CODE["pretrain"],
    shell:
        "{params.torchrun}python -m radt.stages.pretrain --seed {wildcards.seed} --settings {params.settings:q}"
        " --trajectories $(dirname {input}) --state state/{wildcards.experiment}/pretrain/seed{wildcards.seed}"
        " --inputs {input} --output $(dirname {output.model}) --record {output.record} > {log} 2>&1"
