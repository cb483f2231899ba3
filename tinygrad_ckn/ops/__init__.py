"""The differentiable operations: Tensors in, Tensor out; arrays in, array out.

It is the namespace of the Array API standard for Tensors (docs/array-api.md): names that
NumPy spells otherwise exist under both, as one object.

Each public operation is named once, where it is imported as itself. `ops.kappa` has the
kernel functions that `ckn_map` takes, `ops.linalg` (`tinygrad_ckn.linalg`) the functions
of matrices.
"""

import math
import sys

from tinygrad_ckn.interchange import from_dlpack as from_dlpack
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
from tinygrad_ckn.ops.averages import allclose as allclose
from tinygrad_ckn.ops.averages import array_equal as array_equal
from tinygrad_ckn.ops.averages import average as average
from tinygrad_ckn.ops.averages import isclose as isclose
from tinygrad_ckn.ops.averages import nan_to_num as nan_to_num
from tinygrad_ckn.ops.ckn_map import ckn_map as ckn_map
from tinygrad_ckn.ops.clip import clip as clip
from tinygrad_ckn.ops.conversion import array as array
from tinygrad_ckn.ops.conversion import asarray as asarray
from tinygrad_ckn.ops.conversion import astype as astype
from tinygrad_ckn.ops.conversion import to_device as to_device
from tinygrad_ckn.ops.correlate import correlate2d as correlate2d
from tinygrad_ckn.ops.correlate import correlate2d_input as correlate2d_input
from tinygrad_ckn.ops.correlate import correlate2d_weight as correlate2d_weight
from tinygrad_ckn.ops.creation import arange as arange
from tinygrad_ckn.ops.creation import empty as empty
from tinygrad_ckn.ops.creation import empty_like as empty_like
from tinygrad_ckn.ops.creation import eye as eye
from tinygrad_ckn.ops.creation import full as full
from tinygrad_ckn.ops.creation import full_like as full_like
from tinygrad_ckn.ops.creation import identity as identity
from tinygrad_ckn.ops.creation import linspace as linspace
from tinygrad_ckn.ops.creation import ones as ones
from tinygrad_ckn.ops.creation import ones_like as ones_like
from tinygrad_ckn.ops.creation import zeros as zeros
from tinygrad_ckn.ops.creation import zeros_like as zeros_like
from tinygrad_ckn.ops.cumulative import cumprod as cumprod
from tinygrad_ckn.ops.cumulative import cumsum as cumsum
from tinygrad_ckn.ops.cumulative import cumulative_prod as cumulative_prod
from tinygrad_ckn.ops.cumulative import cumulative_sum as cumulative_sum
from tinygrad_ckn.ops.cumulative import diff as diff
from tinygrad_ckn.ops.data_types import DTYPES
from tinygrad_ckn.ops.data_types import can_cast as can_cast
from tinygrad_ckn.ops.data_types import finfo as finfo
from tinygrad_ckn.ops.data_types import iinfo as iinfo
from tinygrad_ckn.ops.data_types import isdtype as isdtype
from tinygrad_ckn.ops.data_types import result_type as result_type
from tinygrad_ckn.ops.elementwise import abs as abs
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
from tinygrad_ckn.ops.exponents import exp2 as exp2
from tinygrad_ckn.ops.exponents import log2 as log2
from tinygrad_ckn.ops.exponents import log10 as log10
from tinygrad_ckn.ops.exponents import logaddexp as logaddexp
from tinygrad_ckn.ops.exponents import reciprocal as reciprocal
from tinygrad_ckn.ops.floats import copysign as copysign
from tinygrad_ckn.ops.floats import imag as imag
from tinygrad_ckn.ops.floats import nextafter as nextafter
from tinygrad_ckn.ops.floats import signbit as signbit
from tinygrad_ckn.ops.grids import broadcast_arrays as broadcast_arrays
from tinygrad_ckn.ops.grids import meshgrid as meshgrid
from tinygrad_ckn.ops.index import getitem as getitem
from tinygrad_ckn.ops.index import index_add as index_add
from tinygrad_ckn.ops.inspection import array_namespace_info
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
from tinygrad_ckn.ops.linalg import cross as cross
from tinygrad_ckn.ops.linalg import diagonal as diagonal
from tinygrad_ckn.ops.linalg import inv as inv
from tinygrad_ckn.ops.linalg import inverse_sqrt as inverse_sqrt
from tinygrad_ckn.ops.linalg import kron as kron
from tinygrad_ckn.ops.linalg import lyapunov as lyapunov
from tinygrad_ckn.ops.linalg import matrix_transpose as matrix_transpose
from tinygrad_ckn.ops.linalg import outer as outer
from tinygrad_ckn.ops.linalg import solve as solve
from tinygrad_ckn.ops.linalg import sqrtm as sqrtm
from tinygrad_ckn.ops.linalg import tensordot as tensordot
from tinygrad_ckn.ops.linalg import trace as trace
from tinygrad_ckn.ops.linalg import vecdot as vecdot
from tinygrad_ckn.ops.logic import all as all
from tinygrad_ckn.ops.logic import any as any
from tinygrad_ckn.ops.logic import bitwise_and as bitwise_and
from tinygrad_ckn.ops.logic import bitwise_left_shift as bitwise_left_shift
from tinygrad_ckn.ops.logic import bitwise_or as bitwise_or
from tinygrad_ckn.ops.logic import bitwise_right_shift as bitwise_right_shift
from tinygrad_ckn.ops.logic import bitwise_xor as bitwise_xor
from tinygrad_ckn.ops.logic import invert as invert
from tinygrad_ckn.ops.logic import isfinite as isfinite
from tinygrad_ckn.ops.logic import isinf as isinf
from tinygrad_ckn.ops.logic import isnan as isnan
from tinygrad_ckn.ops.logic import logical_and as logical_and
from tinygrad_ckn.ops.logic import logical_not as logical_not
from tinygrad_ckn.ops.logic import logical_or as logical_or
from tinygrad_ckn.ops.logic import logical_xor as logical_xor
from tinygrad_ckn.ops.losses.cross_entropy import cross_entropy as cross_entropy
from tinygrad_ckn.ops.losses.labels import one_hot as one_hot
from tinygrad_ckn.ops.losses.nll import nll as nll
from tinygrad_ckn.ops.losses.probabilities import bce_with_logits as bce_with_logits
from tinygrad_ckn.ops.losses.probabilities import kl_div as kl_div
from tinygrad_ckn.ops.losses.regression import huber as huber
from tinygrad_ckn.ops.losses.regression import mse as mse
from tinygrad_ckn.ops.losses.squared_hinge import squared_hinge as squared_hinge
from tinygrad_ckn.ops.matmul import einsum as einsum
from tinygrad_ckn.ops.matmul import matmul as matmul
from tinygrad_ckn.ops.max_pool import max_pool2d as max_pool2d
from tinygrad_ckn.ops.norm import norm as norm
from tinygrad_ckn.ops.numpy_calls import dot as dot
from tinygrad_ckn.ops.numpy_calls import ravel as ravel
from tinygrad_ckn.ops.numpy_products import inner as inner
from tinygrad_ckn.ops.numpy_products import vdot as vdot
from tinygrad_ckn.ops.pool import avg_pool2d as avg_pool2d
from tinygrad_ckn.ops.pool import avg_unpool2d as avg_unpool2d
from tinygrad_ckn.ops.pool import gaussian_pool2d as gaussian_pool2d
from tinygrad_ckn.ops.pool import gaussian_unpool2d as gaussian_unpool2d
from tinygrad_ckn.ops.positions import repeat as repeat
from tinygrad_ckn.ops.positions import take as take
from tinygrad_ckn.ops.positions import take_along_axis as take_along_axis
from tinygrad_ckn.ops.products import prod as prod
from tinygrad_ckn.ops.rearrange import diag as diag
from tinygrad_ckn.ops.rearrange import roll as roll
from tinygrad_ckn.ops.rearrange import tile as tile
from tinygrad_ckn.ops.rearrange import tril as tril
from tinygrad_ckn.ops.rearrange import triu as triu
from tinygrad_ckn.ops.rearrange import unstack as unstack
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
from tinygrad_ckn.ops.rounding import trunc as trunc
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
from tinygrad_ckn.ops.sorting import argsort as argsort
from tinygrad_ckn.ops.sorting import count_nonzero as count_nonzero
from tinygrad_ckn.ops.sorting import isin as isin
from tinygrad_ckn.ops.sorting import nonzero as nonzero
from tinygrad_ckn.ops.sorting import searchsorted as searchsorted
from tinygrad_ckn.ops.sorting import sort as sort
from tinygrad_ckn.ops.special import digamma as digamma
from tinygrad_ckn.ops.special import erf as erf
from tinygrad_ckn.ops.special import erfc as erfc
from tinygrad_ckn.ops.special import erfinv as erfinv
from tinygrad_ckn.ops.special import gammaln as gammaln
from tinygrad_ckn.ops.special import i0e as i0e
from tinygrad_ckn.ops.special import ive as ive
from tinygrad_ckn.ops.special import logit as logit
from tinygrad_ckn.ops.special import ndtr as ndtr
from tinygrad_ckn.ops.special import polygamma as polygamma
from tinygrad_ckn.ops.special import xlogy as xlogy
from tinygrad_ckn.ops.stacking import append as append
from tinygrad_ckn.ops.stacking import atleast_1d as atleast_1d
from tinygrad_ckn.ops.stacking import atleast_2d as atleast_2d
from tinygrad_ckn.ops.stacking import column_stack as column_stack
from tinygrad_ckn.ops.stacking import hstack as hstack
from tinygrad_ckn.ops.stacking import vstack as vstack
from tinygrad_ckn.ops.trigonometry import acos as acos
from tinygrad_ckn.ops.trigonometry import acosh as acosh
from tinygrad_ckn.ops.trigonometry import asin as asin
from tinygrad_ckn.ops.trigonometry import asinh as asinh
from tinygrad_ckn.ops.trigonometry import atan as atan
from tinygrad_ckn.ops.trigonometry import atan2 as atan2
from tinygrad_ckn.ops.trigonometry import atanh as atanh
from tinygrad_ckn.ops.trigonometry import cosh as cosh
from tinygrad_ckn.ops.trigonometry import hypot as hypot
from tinygrad_ckn.ops.trigonometry import sinh as sinh
from tinygrad_ckn.ops.trigonometry import tan as tan
from tinygrad_ckn.ops.unique import unique_all as unique_all
from tinygrad_ckn.ops.unique import unique_counts as unique_counts
from tinygrad_ckn.ops.unique import unique_inverse as unique_inverse
from tinygrad_ckn.ops.unique import unique_values as unique_values
from tinygrad_ckn.ops.window import fold as fold
from tinygrad_ckn.ops.window import unfold as unfold

# PyTorch's short names for NumPy's long ones.
sub, mul, div, neg, pow = subtract, multiply, divide, negative, power
# NumPy's names for those of the Array API standard, and the standard's for NumPy's.
arccos = acos
arccosh = acosh
arcsin = asin
arcsinh = asinh
arctan = atan
arctan2 = atan2
arctanh = atanh
absolute = abs
amax = max
amin = min
bitwise_invert = bitwise_not = invert
concat = concatenate
conj = conjugate = real = positive
left_shift = bitwise_left_shift
mod = remainder
permute_dims = transpose
right_shift = bitwise_right_shift
true_divide = divide

# Constants of the Array API standard, and the dtypes of real numbers.
e = math.e
inf = math.inf
nan = math.nan
newaxis = None
pi = math.pi
__array_api_version__ = "2024.12"
__array_namespace_info__ = array_namespace_info

_functions = {
    name: value
    for name, value in globals().items()
    if callable(value) and name[0] != "_" and name != "array_namespace_info"
}
bool = DTYPES["bool"]
float32 = DTYPES["float32"]
float64 = DTYPES["float64"]
int8 = DTYPES["int8"]
int16 = DTYPES["int16"]
int32 = DTYPES["int32"]
int64 = DTYPES["int64"]
uint8 = DTYPES["uint8"]
uint16 = DTYPES["uint16"]
uint32 = DTYPES["uint32"]
uint64 = DTYPES["uint64"]

_constants = ("e", "inf", "nan", "newaxis", "pi")
_standard = ("__array_api_version__", "__array_namespace_info__")
_public = sorted([*_functions, *DTYPES, *_constants, *_standard])
# Hidden from type checkers: they go by the form `name as name`, and would treat an
# `__all__` that they cannot evaluate as empty.
globals()["__all__"] = _public


def __dir__() -> list[str]:
    return _public


_matrices = {name: getattr(linalg, name) for name in linalg.__all__}
methods.attach_numpy_functions(numpy_calls.table(_functions, _matrices), list(_functions))
methods.attach_namespace(sys.modules[__name__])
