"""Speed against what people use, side by side on one machine: `python -m bench --help`, docs/performance.md."""
