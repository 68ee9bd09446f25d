"""Offline training, evaluation and export of the networks."""
