"""From an `nn.Module` to the spec of its symmetry: text, each factor of which was tried on the module."""
