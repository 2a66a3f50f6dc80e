"""The Triton lowering of an emitted layer: kernels, how they are launched, and when."""
