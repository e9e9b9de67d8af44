"""Environments that a user has registered with Gymnasium."""
