# Input: trajectories and the DT of one seed. Output: one vector for each sub-trajectory and each query of a training window, and the
# search structure over the sub-trajectories.
# Both are made once and used by every seed of RA-DT.


rule embed:
    """Embed every sub-trajectory, and the queries of training windows, with the frozen DT."""
    input:
        trajectories=made("trajectories", "manifest.json"),
        encoder=made("pretrain", ENCODER),
    output:
        embeddings=update("results/{experiment}/embed/dt/embeddings.safetensors"),
        config=update("results/{experiment}/embed/dt/config.json"),
        record=update("results/{experiment}/embed/dt/provenance.json"),
    log:
        "logs/{experiment}/embed/dt.log",
    benchmark:
        "benchmarks/{experiment}/embed/dt.tsv"
    priority: 20
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/embed/dt"),
        runtime=minutes("{experiment}/embed/dt"),
        gpu=gpu("embed"),
    params:
        settings=settings("embed"),
        code=CODE["embed"],
    shell:
        "python -m radt.stages.embed --settings {params.settings:q}"
        " --trajectories $(dirname {input.trajectories}) --encoder $(dirname {input.encoder})"
        " --inputs {input} --output $(dirname {output.embeddings}) --record {output.record} > {log} 2>&1"


rule embed_language:
    """Embed the same with a frozen language model, for RA-DT's domain-agnostic variant."""
    input:
        made("trajectories", "manifest.json"),
    output:
        embeddings=update("results/{experiment}/embed/lm/embeddings.safetensors"),
        config=update("results/{experiment}/embed/lm/config.json"),
        record=update("results/{experiment}/embed/lm/provenance.json"),
    log:
        "logs/{experiment}/embed/lm.log",
    benchmark:
        "benchmarks/{experiment}/embed/lm.tsv"
    priority: 20
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/embed/lm"),
        runtime=minutes("{experiment}/embed/lm"),
        gpu=gpu("embed"),
    params:
        settings=settings("embed", "embed_language"),
        code=CODE["embed_language"],
    shell:
        "python -m radt.stages.embed_language --settings {params.settings:q} --trajectories $(dirname {input})"
        " --inputs {input} --output $(dirname {output.embeddings}) --record {output.record} > {log} 2>&1"


rule index:
    """Remove near-duplicates and build the index that RA-DT retrieves from while training."""
    input:
        made("embed/{encoder}", "embeddings.safetensors"),
    output:
        index=update("results/{experiment}/index/{encoder}/index.safetensors"),
        config=update("results/{experiment}/index/{encoder}/config.json"),
        record=update("results/{experiment}/index/{encoder}/provenance.json"),
    log:
        "logs/{experiment}/index/{encoder}.log",
    benchmark:
        "benchmarks/{experiment}/index/{encoder}.tsv"
    priority: 20
    conda:
        "../../envs/radt.yaml"
    threads: 1
    resources:
        mem_mb=memory("{experiment}/index/{encoder}"),
        runtime=minutes("{experiment}/index/{encoder}"),
    params:
        settings=settings("index"),
        code=CODE["index"],
    shell:
        "python -m radt.stages.index --encoder {wildcards.encoder} --settings {params.settings:q} --embeddings $(dirname {input})"
        " --inputs {input} --output $(dirname {output.index}) --record {output.record} > {log} 2>&1"
