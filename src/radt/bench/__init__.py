"""Speed against what people use, side by side on one machine: `python -m radt.bench --help`, docs/performance.md."""
