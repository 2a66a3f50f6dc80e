"""The order and the manner in which a layer is computed: operations between a plan and its code."""
