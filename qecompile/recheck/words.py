"""The vocabulary of emitted files: imports, builtins and attributes that compute, and do nothing else.

None of them reads or writes a file, reaches the interpreter or the memory of other objects, or keeps a
setting of torch. A file that says more is not run (`source.py`). Words that a correct file might want, and
that only compute, may be added.
"""

from __future__ import annotations

from typing import Any

import torch

IMPORTS = frozenset(
    "import itertools|import math|import torch|import torch.fx|import torch.nn.functional as F|"
    "from torch import Tensor, nn|from __future__ import annotations".split("|")
)
ROOTS: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
MODULES = [torch, torch.nn, torch.nn.functional, torch.nn.init, torch.fx, torch.linalg]
MODULES += [torch.autograd, torch.compiler]

BUILTINS = frozenset(
    "KeyError TypeError ValueError RuntimeError IndexError AssertionError abs all any bool dict "
    "divmod enumerate float int isinstance len list map max min next pow range reversed round set "
    "slice sorted staticmethod str sum super tuple type zip".split()
)

WORDS = frozenset(
    # modules, and what is made from them
    "Function Linear Module ModuleDict ModuleList Parameter ParameterDict ParameterList Tensor "
    "autograd compiler fx init linalg nn wrap vmap no_grad permutations product combinations "
    "pairwise "
    # modules of torch at work
    "apply backward children forward jvp named_parameters needs_input_grad parameters "
    "register_buffer reset_parameters save_for_backward save_for_forward saved_tensors "
    "mark_non_differentiable weight bias in_features out_features weight "
    # tensors: what they are
    "T H mT mH contiguous_format device dim dtype finfo float16 float32 float64 bfloat16 int64 "
    "get_default_dtype eps is_autocast_enabled is_compiling is_contiguous is_floating_point "
    "is_grad_enabled item ndim numel promote_types requires_grad shape size stride type index "
    # tensors: how they are made
    "arange as_tensor clone complex copy_ detach diag empty empty_like eye fill_ full full_like "
    "linspace new_empty new_full new_ones new_tensor new_zeros normal_ ones ones_like scalar_tensor "
    "tensor to tril tril_indices triu triu_indices uniform_ zeros zeros_like zeros_ ones_ "
    # tensors: how their entries move
    "broadcast_tensors broadcast_to cat chunk contiguous diag_embed diagonal expand expand_as "
    "flatten flip gather index_select movedim moveaxis narrow permute repeat repeat_interleave "
    "reshape reshape_as roll select sort split squeeze stack swapaxes t take_along_dim transpose "
    "unbind unflatten unsqueeze view view_as where "
    # tensors: what is computed
    "abs add add_ addmm addmm_ amax amin asinh atan atan2 baddbmm bmm ceil clamp clamp_max "
    "clamp_min copysign cos cosh count cross cumprod cumsum det div div_ dot einsum elu erf exp "
    "expm1 float double floor gelu hypot inv inverse kthvalue layer_norm leaky_relu lerp linear log "
    "log1p logsumexp masked_fill matmul matrix_exp matrix_norm matrix_power max maximum mean median "
    "min minimum mish mm mul mul_ mv nan_to_num neg norm normalize outer pow prod quantile qr "
    "reciprocal relu round rsqrt sigmoid sign silu sin sinh softmax softplus solve sqrt square std "
    "sub sub_ sum sum_to_size tan tanh tensordot trace trunc var var_mean vector_norm "
    # plain values of Python
    "append ceil extend get items join keys pi prod setdefault startswith endswith update values "
    # what emitted files call their own, and what something of torch is called too
    "channels distances elements features gate hidden invariants moments output outputs parts "
    "readout".split()
)
