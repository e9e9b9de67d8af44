"""One file per method: what is known of it, how it is drawn, what its training takes, and its agent.

`radt.settings.registry` finds the files. They import torch in functions only, because settings, plans and figures read them, too.
"""
