"""Measurements of the store, each beside a limit that the same machine set in the same run."""
