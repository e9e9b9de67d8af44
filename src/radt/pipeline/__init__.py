"""How results are made, known and planned: places, records, rerun decisions, costs and the state of a run."""
