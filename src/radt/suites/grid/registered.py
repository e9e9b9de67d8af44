"""Importing this module registers the grid worlds with Gymnasium, such as `radt/DarkRoom-v0`."""

import gymnasium

for _name, _module in {"DarkRoom": "darkroom", "KeyDoor": "keydoor", "MazeRunner": "mazerunner"}.items():
    gymnasium.register(
        id=f"radt/{_name}-v0",
        entry_point=f"radt.suites.grid.{_module}:{_name}Env",
        vector_entry_point=f"radt.suites.grid.{_module}:vector_env",
    )
