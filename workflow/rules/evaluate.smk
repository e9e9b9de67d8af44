# Input: the weights of a method; for RA-DT also the DT that encodes. Never the trajectories or the index: the memory of an agent
# starts empty and holds only what it has lived through. Output: one row for each task and in-context episode.


use rule stage as evaluate_reference with:
    """Play all tasks of the splits without a network: at random, or by replaying the best episode so far."""
    input:
        features=image_encoder,
    output:
        update("results/{experiment}/evaluate/{method}/seed{seed}.csv"),
        record=update("results/{experiment}/evaluate/{method}/seed{seed}.provenance.json"),
    pathvars:
        job="{experiment}/evaluate_reference/{method}_seed{seed}",
    wildcard_constraints:
        method=methods(*REFERENCES),
    params:
        settings=settings("evaluate"),
        command="evaluate --experiment {experiment} --method {method} --seed {seed}",
        writes=file,


use rule evaluate_reference as evaluate_plain with:
    """Let AD, DPT and DT act on all tasks of the splits, weights frozen."""
    input:
        model=weights,
        features=image_encoder,
    pathvars:
        job="{experiment}/evaluate_plain/{method}_seed{seed}",
    wildcard_constraints:
        method=methods(*PLAIN),


use rule evaluate_reference as evaluate_retrieval with:
    """Let RA-DT learn in context: all tasks of the splits, weights frozen, an empty memory for each task."""
    input:
        model=weights,
        encoder=encoder_weights,
        features=image_encoder,
    pathvars:
        job="{experiment}/evaluate_retrieval/{method}_seed{seed}",
    wildcard_constraints:
        method=methods(*ENCODERS),
    params:
        settings=retrieval_settings("evaluate"),
