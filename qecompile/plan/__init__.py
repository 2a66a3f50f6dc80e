"""The plan of a layer: intermediate types, what is reduced to them and what is expanded from them."""
