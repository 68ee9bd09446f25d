"""The ONNX operators of our graphs, as torch functions: https://onnx.ai/onnx/operators.

Each takes the operator's inputs in order and its attributes by name, so that an attribute nobody
thought of is an error. Inputs that say how (shapes, axes, limits) come as Python numbers or lists.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

TYPES = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64,
         9: torch.bool, 10: torch.float16, 11: torch.float64, 16: torch.bfloat16}
"""By the numbers of TensorProto.DataType."""

Axes = Sequence[int] | None


def same_type(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the wider of their types: autocast leaves mixed ones behind."""
    wide = torch.promote_types(a.dtype, b.dtype)
    return a.to(wide), b.to(wide)


def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, kernel_shape: Axes = None,
         strides: Axes = None, pads: Axes = None, dilations: Axes = None, group: int = 1,
         auto_pad: bytes = b'NOTSET') -> Tensor:
    """Convolve in two dimensions."""
    x, padding = padded(x, pads, auto_pad)
    return F.conv2d(x, weight, bias, strides or (1, 1), padding, dilations or (1, 1), group)


def conv_transpose(x: Tensor, weight: Tensor, bias: Tensor | None = None, *,
                   kernel_shape: Axes = None, strides: Axes = None, pads: Axes = None,
                   output_padding: Axes = None, dilations: Axes = None, group: int = 1,
                   auto_pad: bytes = b'NOTSET') -> Tensor:
    """Convolve backwards in two dimensions."""
    top, left, bottom, right = pads or (0, 0, 0, 0)
    wanted(auto_pad == b'NOTSET' and top == bottom and left == right, 'symmetric pads')
    return F.conv_transpose2d(x, weight, bias, strides or (1, 1), (top, left),
                              output_padding or (0, 0), group, dilations or (1, 1))


def padded(x: Tensor, pads: Axes, auto_pad: bytes, value: float = 0.0) -> tuple[
        Tensor, tuple[int, int]]:
    """Return the map and the padding that is left to the operator itself."""
    wanted(auto_pad in (b'NOTSET', b'VALID'), 'explicit pads')
    top, left, bottom, right = pads or (0, 0, 0, 0)
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def average_pool(x: Tensor, *, kernel_shape: Sequence[int], strides: Axes = None,
                 pads: Axes = None, dilations: Axes = None, ceil_mode: int = 0,
                 count_include_pad: int = 0, auto_pad: bytes = b'NOTSET') -> Tensor:
    """Return means of windows."""
    top, left, bottom, right = pads or (0, 0, 0, 0)
    wanted((top, left) == (bottom, right) and auto_pad in (b'NOTSET', b'VALID')
           and set(dilations or ()) <= {1}, 'symmetric pads, no dilation')
    return F.avg_pool2d(x, kernel_shape, strides or (1, 1), (top, left), bool(ceil_mode),
                        bool(count_include_pad))


def max_pool(x: Tensor, *, kernel_shape: Sequence[int], strides: Axes = None, pads: Axes = None,
             dilations: Axes = None, ceil_mode: int = 0, storage_order: int = 0,
             auto_pad: bytes = b'NOTSET') -> Tensor:
    """Return maxima of windows."""
    x, padding = padded(x, pads, auto_pad, -torch.inf)
    return F.max_pool2d(x, kernel_shape, strides or (1, 1), padding, dilations or (1, 1),
                        bool(ceil_mode))


def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0,
         transA: int = 0, transB: int = 0) -> Tensor:
    """Return alpha A B + beta C."""
    out = (a.T if transA else a) @ (b.T if transB else b)
    out = out if alpha == 1 else alpha * out
    return out if c is None else out + (c if beta == 1 else beta * c)


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Divide; integers are cut off towards zero."""
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode='trunc')


def modulo(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """Return the rest, with the sign of the divisor, or with ``fmod`` of the dividend."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def clip(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Limit values."""
    return x if low is None and high is None else x.clamp(low, high)


def gelu(x: Tensor, *, approximate: bytes = b'none') -> Tensor:
    """Gaussian error linear unit."""
    return F.gelu(x, approximate=approximate.decode())


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Exponentials that sum to one."""
    return x.softmax(axis)


def layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None, *, axis: int = -1,
               epsilon: float = 1e-5, stash_type: int = 1) -> Tensor:
    """Normalise over the axes from ``axis`` on."""
    return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


def batch_norm(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, *,
               epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0) -> Tensor:
    """Normalise by statistics that are known."""
    wanted(not training_mode, 'training_mode 0')
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Return vectors of length one; those of length zero stay zero."""
    return F.normalize(x, p, axis, eps=torch.finfo(x.dtype).tiny)


def reduction(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return an operator that reduces axes by a torch function (tensor, axes, keepdim)."""
    def reduce(x: Tensor, axes: Axes = None, *, keepdims: int = 1,
               noop_with_empty_axes: int = 0) -> Tensor:
        wanted(bool(axes) or not noop_with_empty_axes, 'axes')
        return function(x, tuple(axes or range(x.ndim)), bool(keepdims))
    return reduce


def arg_max(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Return the index of the greatest value, the first where several are equal."""
    wanted(not select_last_index, 'select_last_index 0')
    return x.argmax(axis, bool(keepdims))


def grid_sample(x: Tensor, grid: Tensor, *, mode: bytes = b'linear',
                padding_mode: bytes = b'zeros', align_corners: int = 0) -> Tensor:
    """Interpolate at given places."""
    modes = {'linear': 'bilinear', 'cubic': 'bicubic'}
    x, grid = same_type(x, grid)
    return F.grid_sample(x, grid, modes.get(mode.decode(), mode.decode()), padding_mode.decode(),
                         bool(align_corners))


def resize(x: Tensor, roi: Any = None, scales: Sequence[float] | None = None,
           sizes: Axes = None, *, mode: bytes = b'nearest',
           coordinate_transformation_mode: bytes = b'half_pixel',
           nearest_mode: bytes = b'round_prefer_floor', cubic_coeff_a: float = -0.75,
           exclude_outside: int = 0, extrapolation_value: float = 0.0, antialias: int = 0,
           keep_aspect_ratio_policy: bytes = b'stretch') -> Tensor:
    """Resize the last two axes."""
    if not sizes:
        assert scales is not None
        exact = [length * scale for length, scale in zip(x.shape, scales, strict=True)]
        sizes = [round(length) for length in exact]
        wanted(all(abs(a - b) < 1e-3 for a, b in zip(exact, sizes, strict=True)),
               'scales that give whole sizes')
    wanted(tuple(sizes[:-2]) == tuple(x.shape[:-2]) and not exclude_outside
           and keep_aspect_ratio_policy == b'stretch' and not antialias,
           'height and width resized, without antialias')   # torch's has other weights
    coordinates = coordinate_transformation_mode.decode()
    how = mode.decode()
    if how == 'nearest':
        wanted((coordinates, nearest_mode) == ('asymmetric', b'floor'), 'nearest by floor')
        return F.interpolate(x, list(sizes[-2:]), mode='nearest')
    # They differ only where an axis becomes one long.
    wanted(coordinates == 'align_corners' or coordinates == 'half_pixel' or (
        coordinates == 'pytorch_half_pixel' and min(sizes[-2:]) > 1), 'half_pixel')
    wanted(how != 'cubic' or cubic_coeff_a == -0.75, 'cubic_coeff_a -0.75')
    return F.interpolate(
        x, list(sizes[-2:]), mode={'linear': 'bilinear', 'cubic': 'bicubic'}[how],
        align_corners=coordinates == 'align_corners')


def reshape(x: Tensor, shape: Sequence[int], *, allowzero: int = 0) -> Tensor:
    """Reshape; 0 keeps an axis as it is."""
    wanted(not allowzero or 0 not in shape, 'allowzero 0')
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])


def transpose(x: Tensor, *, perm: Axes = None) -> Tensor:
    """Exchange axes."""
    return x.permute(*(perm or range(x.ndim)[::-1]))


def concat(*parts: Tensor, axis: int) -> Tensor:
    """Join along an axis."""
    return torch.cat(parts, axis)


def cut(x: Tensor, starts: Sequence[int], ends: Sequence[int], axes: Axes = None,
        steps: Axes = None) -> Tensor:
    """Take a part of some axes (operator Slice)."""
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (axes[i] if axes else i) % x.ndim
        step = steps[i] if steps else 1
        taken = range(x.shape[axis])[start:end:step]
        forwards = taken if step > 0 else taken[::-1]  # torch knows no step backwards
        x = x[(slice(None),) * axis + (slice(forwards.start, forwards.stop, forwards.step),)]
        x = x if step > 0 else x.flip(axis)
    return x


def split(x: Tensor, sizes: Axes = None, *, axis: int = 0,
          num_outputs: int = 0) -> Sequence[Tensor]:
    """Cut an axis into pieces."""
    return x.split(list(sizes) if sizes else -(-x.shape[axis] // num_outputs), axis)


def gather(x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    """Take entries of an axis, counted from its end where negative."""
    index = torch.where(index < 0, index + x.shape[axis], index).to(x.device)
    out = x.index_select(axis, index.reshape(-1))
    axis %= x.ndim
    return out.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1:]])


def unsqueeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Insert axes of length one."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Axes = None) -> Tensor:
    """Remove axes of length one."""
    return x.squeeze(tuple(axes)) if axes else x.squeeze()


def expand(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeat along axes of length one."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))


def pad(x: Tensor, pads: Sequence[int], value: float | None = None, axes: Axes = None, *,
        mode: bytes = b'constant') -> Tensor:
    """Add borders."""
    wanted(axes is None and mode == b'constant', 'constant borders of all axes')
    half = len(pads) // 2
    flat = [pads[end * half + axis] for axis in reversed(range(half)) for end in (0, 1)]
    return F.pad(x, flat, value=value or 0.0)


def cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    """Change the type."""
    return x.to(TYPES[to])


def quantize(x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1,
             **rest: Any) -> Tensor:
    """Round to steps of ``scale``, as integers."""
    kind = torch.uint8 if zero is None else zero.dtype
    limits = torch.iinfo(kind)
    steps = torch.round(x / along(scale, x, axis))
    if zero is not None:
        steps = steps + along(zero, x, axis)
    return steps.clamp(limits.min, limits.max).to(kind)


def dequantize(x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1,
               **rest: Any) -> Tensor:
    """Return what integers stand for."""
    value = x.to(scale.dtype)
    if zero is not None:
        value = value - along(zero, x, axis).to(scale.dtype)
    return value * along(scale, x, axis)


def along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return one value for all, or one for each entry of an axis, shaped to go with ``x``."""
    if values.ndim == 0:
        return values
    shape = [1] * x.ndim
    shape[axis] = -1
    return values.reshape(shape)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Multiply; squares, of norms that are written out, in f32: in f16 256 has none.

    What is made of them is then in f32, too, until a convolution or matrix product.
    """
    if a is b and a.dtype in (torch.float16, torch.bfloat16):
        a = b = a.float()
    return torch.mul(a, b)


def exponential(x: Tensor) -> Tensor:
    """Return e to the power of x, in f32 at least, as autocast does it on GPUs."""
    return torch.exp(x.to(torch.promote_types(x.dtype, torch.float32)))


def wanted(holds: bool, what: str) -> None:
    """Refuse a use of an operator that none of our graphs makes."""
    if not holds:
        raise NotImplementedError(f'want {what}')


OPERATORS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    # name: function, and which inputs say how
    'Conv': (conv, ()), 'ConvTranspose': (conv_transpose, ()), 'MatMul': (torch.matmul, ()),
    'Gemm': (gemm, ()), 'AveragePool': (average_pool, ()), 'MaxPool': (max_pool, ()),
    'GlobalAveragePool': (lambda x: x.mean((2, 3), keepdim=True), ()),
    'Add': (torch.add, ()), 'Sub': (torch.sub, ()), 'Mul': (multiply, ()), 'Div': (divide, ()),
    'Mod': (modulo, ()), 'Pow': (torch.pow, ()), 'Sqrt': (torch.sqrt, ()),
    'Exp': (exponential, ()), 'Log': (torch.log, ()), 'Abs': (torch.abs, ()),
    'Neg': (torch.neg, ()),
    'Reciprocal': (torch.reciprocal, ()), 'Erf': (torch.erf, ()), 'Tanh': (torch.tanh, ()),
    'Floor': (torch.floor, ()), 'Sigmoid': (torch.sigmoid, ()), 'Relu': (torch.relu, ()),
    'HardSwish': (F.hardswish, ()), 'Softplus': (F.softplus, ()), 'Gelu': (gelu, ()),
    'Clip': (clip, (1, 2)), 'Min': (torch.minimum, ()), 'Max': (torch.maximum, ()),
    'Softmax': (softmax, ()), 'LayerNormalization': (layer_norm, ()),
    'BatchNormalization': (batch_norm, ()), 'LpNormalization': (lp_normalization, ()),
    'ReduceMean': (reduction(torch.mean), (1,)), 'ReduceSum': (reduction(torch.sum), (1,)),
    'ReduceMax': (reduction(torch.amax), (1,)), 'ReduceMin': (reduction(torch.amin), (1,)),
    'ReduceL2': (reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
                 (1,)),
    'ArgMax': (arg_max, ()), 'GridSample': (grid_sample, ()), 'Resize': (resize, (1, 2, 3)),
    'Reshape': (reshape, (1,)), 'Transpose': (transpose, ()), 'Concat': (concat, ()),
    'Slice': (cut, (1, 2, 3, 4)), 'Split': (split, (1,)), 'Gather': (gather, ()),
    'Unsqueeze': (unsqueeze, (1,)), 'Squeeze': (squeeze, (1,)), 'Expand': (expand, (1,)),
    'Tile': (lambda x, repeats: x.repeat(repeats), (1,)), 'Pad': (pad, (1, 2, 3)),
    'Flatten': (lambda x, *, axis=1: x.reshape(x.shape[:axis].numel(), -1), ()),
    'Range': (lambda start, end, step: torch.arange(start, end, step), (0, 1, 2)),
    'ConstantOfShape': (lambda shape, *, value: value.reshape(()).expand(shape), (0,)),
    'Constant': (lambda *, value: value, ()), 'Identity': (lambda x: x, ()), 'Cast': (cast, ()),
    'Where': (torch.where, ()), 'Equal': (torch.eq, ()), 'Less': (torch.lt, ()),
    'Greater': (torch.gt, ()), 'LessOrEqual': (torch.le, ()), 'GreaterOrEqual': (torch.ge, ()),
    'Or': (torch.logical_or, ()), 'Not': (torch.logical_not, ()), 'And': (torch.logical_and, ()),
    'QuantizeLinear': (quantize, ()), 'DequantizeLinear': (dequantize, ()),
}
