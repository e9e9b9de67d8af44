# Input: nothing; with a `trajectories.source` that learns, what it did in every training task, one job each. Output: the learning histories
# of all training tasks, `manifest.json` and the shards that it names, and the curve of their returns.


use rule stage as rl with:
    """Let a learner live through one training task, and keep all it did."""
    output:
        update(["results/{experiment}/rl/task{task}.safetensors", "results/{experiment}/rl/task{task}.json"]),
        record=update("results/{experiment}/rl/task{task}.provenance.json"),
    pathvars:
        job="{experiment}/rl/task{task}",
    params:
        settings=settings("trajectories"),
        command="rl --experiment {experiment} --task {task}",
        writes=file,


use rule stage as features with:
    """Learn what turns images into numbers, for experiments that have `numbers_per_frame`."""
    input:
        histories=lambda wildcards: RUNS.learned(wildcards.experiment),
    output:
        update(["results/{experiment}/features/model.safetensors", "results/{experiment}/features/config.json"]),
        record=update("results/{experiment}/features/provenance.json"),
    pathvars:
        job="{experiment}/features/features",
    params:
        settings=settings("features", "trajectories"),
        command="features --experiment {experiment}",


use rule stage as trajectories with:
    """Learning histories of all training tasks: generated, learned, downloaded or imported."""
    input:
        histories=lambda wildcards: RUNS.learned(wildcards.experiment),
        features=image_encoder,
    output:
        update(["results/{experiment}/trajectories/manifest.json", "results/{experiment}/trajectories/learning.csv"]),
        record=update("results/{experiment}/trajectories/provenance.json"),
    pathvars:
        job="{experiment}/trajectories/trajectories",
    params:
        settings=settings("trajectories"),
        command="trajectories --experiment {experiment}",
