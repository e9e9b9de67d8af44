# Input: trajectories; for RA-DT also the DT that encodes, the embedded queries and the index. Output: `model.safetensors`, `config.json`
# and `metrics.csv` for each seed. Checkpoints are in state/, which no rule declares: a training removes them itself when it is done.

TRAINED = ["model.safetensors", "config.json", "metrics.csv"]


use rule stage as pretrain with:
    """Train the Decision Transformer of one seed: the DT baseline, and the encoder of RA-DT."""
    input:
        trajectories=made("trajectories", "manifest.json"),
    output:
        update(collect("results/{{experiment}}/pretrain/seed{{seed}}/{file}", file=TRAINED)),
        record=update("results/{experiment}/pretrain/seed{seed}/provenance.json"),
    pathvars:
        job="{experiment}/pretrain/seed{seed}",
    priority: 10
    params:
        settings=settings("pretrain"),
        torchrun=torchrun,
        command="train --method dt --seed {seed}",
        options=state,


use rule pretrain as train_ad with:
    """Train Algorithm Distillation for one seed."""
    output:
        update(collect("results/{{experiment}}/train/ad/seed{{seed}}/{file}", file=TRAINED)),
        record=update("results/{experiment}/train/ad/seed{seed}/provenance.json"),
    pathvars:
        job="{experiment}/train_ad/seed{seed}",
    priority: 5
    params:
        settings=settings("train_ad"),
        command="train --method ad --seed {seed}",


use rule pretrain as train_dpt with:
    """Train the Decision-Pretrained Transformer for one seed."""
    output:
        update(collect("results/{{experiment}}/train/dpt/seed{{seed}}/{file}", file=TRAINED)),
        record=update("results/{experiment}/train/dpt/seed{seed}/provenance.json"),
    pathvars:
        job="{experiment}/train_dpt/seed{seed}",
    priority: 5
    params:
        settings=settings("train_dpt"),
        command="train --method dpt --seed {seed}",


use rule pretrain as train_retrieval with:
    """Train RA-DT for one seed, with contexts retrieved from the index."""
    input:
        trajectories=made("trajectories", "manifest.json"),
        encoder=encoder_weights,
        embeddings=made("embed/{encoder}", "embeddings.safetensors"),
        index=made("index/{encoder}", "index.safetensors"),
    output:
        update(collect("results/{{experiment}}/train/{{model}}/seed{{seed}}/{file}", file=TRAINED)),
        record=update("results/{experiment}/train/{model}/seed{seed}/provenance.json"),
    pathvars:
        job="{experiment}/train_retrieval/{model}_seed{seed}",
    priority: 5
    params:
        settings=retrieval_settings("train_retrieval"),
        command="train --method {model} --seed {seed}",
