"""Curves, table and drawing of the results, from CSV files alone: nothing here imports torch, faiss or gymnasium."""
