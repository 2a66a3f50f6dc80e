"""Weight matching: the group element that brings one set of weights closest to another."""
