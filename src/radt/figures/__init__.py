"""Curves, tables and figures of the results, from CSV files only: nothing here imports torch, faiss or gymnasium."""
