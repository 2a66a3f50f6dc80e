"""From a plan to a self-contained PyTorch module, written to be read. Imports no torch itself."""
