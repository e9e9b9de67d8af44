"""One file per method: its `METHOD`, its `THEME` in figures, its training, the cost of its training, and its agent.

`radt.settings.registry` finds the files. They import torch in functions only, because settings, plans and figures import them.
"""
