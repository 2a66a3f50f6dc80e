"""The user's own network: running it, whether the group preserves it, and what else would."""
