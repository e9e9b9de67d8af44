"""The workflow behind results: places, records, rerun decisions, costs and the state of a run."""
