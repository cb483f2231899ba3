"""The differentiable operations: Tensors in, Tensor out; arrays in, array out."""

from tinygrad_ckn.ops import methods as _methods  # noqa: F401  # attaches Tensor's operators
from tinygrad_ckn.ops.arithmetic import (
    add,
    divide,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    subtract,
)
from tinygrad_ckn.ops.correlate import correlate2d, correlate2d_input, correlate2d_weight
from tinygrad_ckn.ops.elementwise import (
    abs,
    clip,
    cos,
    exp,
    log,
    relu,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    tanh,
    where,
)
from tinygrad_ckn.ops.index import getitem, index_add
from tinygrad_ckn.ops.kappa import kappa_arccos0, kappa_arccos1, kappa_exponential, kappa_polynomial
from tinygrad_ckn.ops.linalg import inv, inverse_sqrt, lyapunov, solve, sqrtm
from tinygrad_ckn.ops.losses import cross_entropy, log_softmax, mse, one_hot, softmax, squared_hinge
from tinygrad_ckn.ops.matmul import einsum, matmul
from tinygrad_ckn.ops.pool import avg_pool2d, avg_unpool2d, gaussian_pool2d, gaussian_unpool2d, max_pool2d
from tinygrad_ckn.ops.reduce import argmax, argmin, logsumexp, max, mean, min, norm, sum, var
from tinygrad_ckn.ops.shape import (
    astype,
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    pad,
    reshape,
    split,
    squeeze,
    stack,
    sum_to,
    swapaxes,
    to_device,
    transpose,
)
from tinygrad_ckn.ops.window import fold, unfold

# PyTorch's short names for NumPy's long ones.
sub, mul, div, neg, pow = subtract, multiply, divide, negative, power
