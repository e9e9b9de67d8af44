# Input: trajectories and the DT of one seed. Output: one vector for each sub-trajectory and each query of a training window, and the
# search structure over the sub-trajectories.
# Both are made once and used by every seed of RA-DT.


use rule stage as embed with:
    """Embed every sub-trajectory, and the queries of training windows, with the frozen DT."""
    input:
        trajectories=made("trajectories", "manifest.json"),
        encoder=made("pretrain", ENCODER),
    output:
        update(["results/{experiment}/embed/dt/embeddings.safetensors", "results/{experiment}/embed/dt/config.json"]),
        record=update("results/{experiment}/embed/dt/provenance.json"),
    pathvars:
        job="{experiment}/embed/dt",
    priority: 20
    params:
        settings=settings("embed"),
        command="embed --kind dt",


use rule embed as embed_language with:
    """Embed the same with a frozen language model, for RA-DT's domain-agnostic variant."""
    input:
        trajectories=made("trajectories", "manifest.json"),
    output:
        update(["results/{experiment}/embed/lm/embeddings.safetensors", "results/{experiment}/embed/lm/config.json"]),
        record=update("results/{experiment}/embed/lm/provenance.json"),
    pathvars:
        job="{experiment}/embed/lm",
    params:
        settings=settings("embed", "embed_language"),
        command="embed --kind lm",


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
