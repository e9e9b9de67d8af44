"""Tasks of the benchmarks; importing this package registers them with Gymnasium."""

import gymnasium

gymnasium.register(
    id="radt/DarkRoom-v0",
    entry_point="radt.tasks.darkroom:DarkRoomEnv",
    vector_entry_point="radt.tasks.darkroom:benchmark",
)
