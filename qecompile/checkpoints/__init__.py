"""Checkpoint files: how parameters lie in them, reading them, and writing them back."""
