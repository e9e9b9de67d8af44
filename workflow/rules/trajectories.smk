# Input: nothing; with `trajectories.source: ppo` what PPO learned of every training task, one job each. Output: the learning histories
# of all training tasks, `manifest.json` and the shards that it names, and the curve of their returns.


rule ppo:
    """Let PPO learn one training task from nothing, and keep all it did."""
    output:
        history=update("results/{experiment}/ppo/task{task}.safetensors"),
        manifest=update("results/{experiment}/ppo/task{task}.json"),
        record=update("results/{experiment}/ppo/task{task}.provenance.json"),
    log:
        "logs/{experiment}/ppo/task{task}.log",
    benchmark:
        "benchmarks/{experiment}/ppo/task{task}.tsv"
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/ppo/task{task}"),
        runtime=minutes("{experiment}/ppo/task{task}"),
    params:
        settings=ppo_settings,
        code=CODE["ppo"],
    shell:
        "python -m radt.stages.ppo --experiment {wildcards.experiment} --task {wildcards.task} --settings {params.settings:q}"
        " --output {output.history} --record {output.record} > {log} 2>&1"


rule trajectories:
    """Learning histories of all training tasks: generated, learned by PPO, downloaded or imported."""
    input:
        lambda wildcards: RUNS.ppo(wildcards.experiment),
    output:
        manifest=update("results/{experiment}/trajectories/manifest.json"),
        curve=update("results/{experiment}/trajectories/learning.csv"),
        record=update("results/{experiment}/trajectories/provenance.json"),
    log:
        "logs/{experiment}/trajectories/trajectories.log",
    benchmark:
        "benchmarks/{experiment}/trajectories/trajectories.tsv"
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/trajectories/trajectories"),
        runtime=minutes("{experiment}/trajectories/trajectories"),
    params:
        settings=settings("trajectories"),
        histories=lambda wildcards, input: f"--histories {Path(input[0]).parent}" if input else "",
        code=CODE["trajectories"],
    shell:
        "python -m radt.stages.trajectories --experiment {wildcards.experiment} --settings {params.settings:q}"
        " {params.histories} --inputs {input} --output $(dirname {output.manifest}) --record {output.record} > {log} 2>&1"
