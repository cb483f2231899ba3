"""The differentiable operations: Tensors in, Tensor out; arrays in, array out.

Each public operation is named once, where it is imported as itself. `ops.kappa` has the
kernel functions that `ckn_map` takes, `ops.linalg` (`tinygrad_ckn.linalg`) the functions
of matrices.
"""

from tinygrad_ckn.ops import kappa as kappa
from tinygrad_ckn.ops import linalg as linalg
from tinygrad_ckn.ops import methods, numpy_calls
from tinygrad_ckn.ops.arithmetic import add as add
from tinygrad_ckn.ops.arithmetic import divide as divide
from tinygrad_ckn.ops.arithmetic import equal as equal
from tinygrad_ckn.ops.arithmetic import greater as greater
from tinygrad_ckn.ops.arithmetic import greater_equal as greater_equal
from tinygrad_ckn.ops.arithmetic import less as less
from tinygrad_ckn.ops.arithmetic import less_equal as less_equal
from tinygrad_ckn.ops.arithmetic import maximum as maximum
from tinygrad_ckn.ops.arithmetic import minimum as minimum
from tinygrad_ckn.ops.arithmetic import multiply as multiply
from tinygrad_ckn.ops.arithmetic import negative as negative
from tinygrad_ckn.ops.arithmetic import not_equal as not_equal
from tinygrad_ckn.ops.arithmetic import power as power
from tinygrad_ckn.ops.arithmetic import subtract as subtract
from tinygrad_ckn.ops.ckn_map import ckn_map as ckn_map
from tinygrad_ckn.ops.conversion import astype as astype
from tinygrad_ckn.ops.conversion import to_device as to_device
from tinygrad_ckn.ops.correlate import correlate2d as correlate2d
from tinygrad_ckn.ops.correlate import correlate2d_input as correlate2d_input
from tinygrad_ckn.ops.correlate import correlate2d_weight as correlate2d_weight
from tinygrad_ckn.ops.elementwise import abs as abs
from tinygrad_ckn.ops.elementwise import clip as clip
from tinygrad_ckn.ops.elementwise import cos as cos
from tinygrad_ckn.ops.elementwise import exp as exp
from tinygrad_ckn.ops.elementwise import expm1 as expm1
from tinygrad_ckn.ops.elementwise import log as log
from tinygrad_ckn.ops.elementwise import log1p as log1p
from tinygrad_ckn.ops.elementwise import relu as relu
from tinygrad_ckn.ops.elementwise import sigmoid as sigmoid
from tinygrad_ckn.ops.elementwise import sign as sign
from tinygrad_ckn.ops.elementwise import sin as sin
from tinygrad_ckn.ops.elementwise import softplus as softplus
from tinygrad_ckn.ops.elementwise import sqrt as sqrt
from tinygrad_ckn.ops.elementwise import square as square
from tinygrad_ckn.ops.elementwise import tanh as tanh
from tinygrad_ckn.ops.elementwise import where as where
from tinygrad_ckn.ops.index import getitem as getitem
from tinygrad_ckn.ops.index import index_add as index_add
from tinygrad_ckn.ops.join import concatenate as concatenate
from tinygrad_ckn.ops.join import pad as pad
from tinygrad_ckn.ops.join import split as split
from tinygrad_ckn.ops.join import stack as stack
from tinygrad_ckn.ops.kappa import kappa_arccos0 as kappa_arccos0
from tinygrad_ckn.ops.kappa import kappa_arccos1 as kappa_arccos1
from tinygrad_ckn.ops.kappa import kappa_exponential as kappa_exponential
from tinygrad_ckn.ops.kappa import kappa_matern as kappa_matern
from tinygrad_ckn.ops.kappa import kappa_polynomial as kappa_polynomial
from tinygrad_ckn.ops.kappa import kappa_power_series as kappa_power_series
from tinygrad_ckn.ops.linalg import inv as inv
from tinygrad_ckn.ops.linalg import inverse_sqrt as inverse_sqrt
from tinygrad_ckn.ops.linalg import kron as kron
from tinygrad_ckn.ops.linalg import lyapunov as lyapunov
from tinygrad_ckn.ops.linalg import matrix_transpose as matrix_transpose
from tinygrad_ckn.ops.linalg import solve as solve
from tinygrad_ckn.ops.linalg import sqrtm as sqrtm
from tinygrad_ckn.ops.linalg import tensordot as tensordot
from tinygrad_ckn.ops.linalg import vecdot as vecdot
from tinygrad_ckn.ops.logic import all as all
from tinygrad_ckn.ops.logic import any as any
from tinygrad_ckn.ops.logic import bitwise_and as bitwise_and
from tinygrad_ckn.ops.logic import bitwise_or as bitwise_or
from tinygrad_ckn.ops.logic import bitwise_xor as bitwise_xor
from tinygrad_ckn.ops.logic import invert as invert
from tinygrad_ckn.ops.logic import isfinite as isfinite
from tinygrad_ckn.ops.logic import isinf as isinf
from tinygrad_ckn.ops.logic import isnan as isnan
from tinygrad_ckn.ops.logic import logical_and as logical_and
from tinygrad_ckn.ops.logic import logical_not as logical_not
from tinygrad_ckn.ops.logic import logical_or as logical_or
from tinygrad_ckn.ops.losses import cross_entropy as cross_entropy
from tinygrad_ckn.ops.losses import mse as mse
from tinygrad_ckn.ops.losses import one_hot as one_hot
from tinygrad_ckn.ops.losses import squared_hinge as squared_hinge
from tinygrad_ckn.ops.matmul import einsum as einsum
from tinygrad_ckn.ops.matmul import matmul as matmul
from tinygrad_ckn.ops.max_pool import max_pool2d as max_pool2d
from tinygrad_ckn.ops.norm import norm as norm
from tinygrad_ckn.ops.pool import avg_pool2d as avg_pool2d
from tinygrad_ckn.ops.pool import avg_unpool2d as avg_unpool2d
from tinygrad_ckn.ops.pool import gaussian_pool2d as gaussian_pool2d
from tinygrad_ckn.ops.pool import gaussian_unpool2d as gaussian_unpool2d
from tinygrad_ckn.ops.reduce import argmax as argmax
from tinygrad_ckn.ops.reduce import argmin as argmin
from tinygrad_ckn.ops.reduce import max as max
from tinygrad_ckn.ops.reduce import mean as mean
from tinygrad_ckn.ops.reduce import min as min
from tinygrad_ckn.ops.reduce import std as std
from tinygrad_ckn.ops.reduce import sum as sum
from tinygrad_ckn.ops.reduce import var as var
from tinygrad_ckn.ops.rounding import ceil as ceil
from tinygrad_ckn.ops.rounding import floor as floor
from tinygrad_ckn.ops.rounding import floor_divide as floor_divide
from tinygrad_ckn.ops.rounding import positive as positive
from tinygrad_ckn.ops.rounding import remainder as remainder
from tinygrad_ckn.ops.rounding import round as round
from tinygrad_ckn.ops.shape import broadcast_to as broadcast_to
from tinygrad_ckn.ops.shape import expand_dims as expand_dims
from tinygrad_ckn.ops.shape import flip as flip
from tinygrad_ckn.ops.shape import moveaxis as moveaxis
from tinygrad_ckn.ops.shape import reshape as reshape
from tinygrad_ckn.ops.shape import squeeze as squeeze
from tinygrad_ckn.ops.shape import sum_to as sum_to
from tinygrad_ckn.ops.shape import swapaxes as swapaxes
from tinygrad_ckn.ops.shape import transpose as transpose
from tinygrad_ckn.ops.softmax import log_softmax as log_softmax
from tinygrad_ckn.ops.softmax import logsumexp as logsumexp
from tinygrad_ckn.ops.softmax import softmax as softmax
from tinygrad_ckn.ops.window import fold as fold
from tinygrad_ckn.ops.window import unfold as unfold

# PyTorch's short names for NumPy's long ones.
sub, mul, div, neg, pow = subtract, multiply, divide, negative, power

_functions = {
    name: value for name, value in globals().items() if callable(value) and name[0] != "_"
}
# Hidden from type checkers: they go by the form `name as name`, and would treat an
# `__all__` that they cannot evaluate as empty.
globals()["__all__"] = sorted(_functions)


def __dir__() -> list[str]:
    return sorted(_functions)


_matrices = {name: getattr(linalg, name) for name in linalg.__all__}
methods.attach_numpy_functions(numpy_calls.table(_functions, _matrices), list(_functions))
