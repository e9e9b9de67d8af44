# Input: nothing; with `trajectories.source: ppo` what PPO learned of every training task, one job each. Output: the learning histories
# of all training tasks, `manifest.json` and the shards that it names, and the curve of their returns.


use rule stage as ppo with:
    """Let PPO learn one training task from nothing, and keep all it did."""
    output:
        update(["results/{experiment}/ppo/task{task}.safetensors", "results/{experiment}/ppo/task{task}.json"]),
        record=update("results/{experiment}/ppo/task{task}.provenance.json"),
    pathvars:
        job="{experiment}/ppo/task{task}",
    params:
        settings=ppo_settings,
        command="ppo --experiment {experiment} --task {task}",
        writes=file,


use rule stage as trajectories with:
    """Learning histories of all training tasks: generated, learned by PPO, downloaded or imported."""
    input:
        histories=lambda wildcards: RUNS.ppo(wildcards.experiment),
    output:
        update(["results/{experiment}/trajectories/manifest.json", "results/{experiment}/trajectories/learning.csv"]),
        record=update("results/{experiment}/trajectories/provenance.json"),
    pathvars:
        job="{experiment}/trajectories/trajectories",
    params:
        settings=settings("trajectories"),
        command="trajectories --experiment {experiment}",
