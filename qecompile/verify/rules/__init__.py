"""The type rules: for each operation, how the type of the result follows from those of the arguments."""
