# Input: trajectories, and for the encoder `dt` the DT of one seed. Output: one vector for each sub-trajectory and each query of a training
# window, and the search structure over the sub-trajectories. Both are made once for each encoder and used by every seed of RA-DT.


use rule stage as embed with:
    """Embed every sub-trajectory, and the queries of training windows, with a frozen encoder."""
    input:
        trajectories=made("trajectories", "manifest.json"),
        encoder=encoder_weights,
    output:
        update(
            ["results/{experiment}/embed/{encoder}/embeddings.safetensors", "results/{experiment}/embed/{encoder}/config.json"]
        ),
        record=update("results/{experiment}/embed/{encoder}/provenance.json"),
    pathvars:
        job="{experiment}/embed/{encoder}",
    priority: 20
    params:
        settings=retrieval_settings(),
        command="embed --kind {encoder}",


use rule embed as index with:
    """Remove near-duplicates and build the index that RA-DT retrieves from while training."""
    input:
        embeddings=made("embed/{encoder}", "embeddings.safetensors"),
    output:
        update(["results/{experiment}/index/{encoder}/index.safetensors", "results/{experiment}/index/{encoder}/config.json"]),
        record=update("results/{experiment}/index/{encoder}/provenance.json"),
    pathvars:
        job="{experiment}/index/{encoder}",
    params:
        settings=settings("index"),
        command="index --kind {encoder}",
