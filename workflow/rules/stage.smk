# What all rules share stands here once: log, benchmark, software, what a job asks for, and the shell line. A rule that uses this one names
# its inputs and outputs, its job, and the command and the settings of its stage. `<job>` stands for a rule's `pathvars: job`. Snakemake does
# not apply wildcard constraints inside pathvars, so outputs are written out; nor `outputflags` to rules by `use`, so each says `update`.


rule stage:
    """Base of all rules that run a stage; makes nothing itself."""
    log:
        "logs/<job>.log",
    benchmark:
        "benchmarks/<job>.tsv"
    pathvars:
        job="stage",
    conda:
        "../../envs/radt.yaml"
    threads: ranks
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=gpus,
    params:
        torchrun="",
        reads=folders,
        options="",
        writes=folder,
    shell:
        "{params.torchrun}python -m radt.stages.{params.command} --settings {params.settings:q} {params.reads} {params.options}"
        " --inputs {input} --output {params.writes} --record {output.record} > {log} 2>&1"
