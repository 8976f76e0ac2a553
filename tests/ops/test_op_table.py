"""What holds for every operation: a walk over the table."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.helpers import cotangent, host, is_array, is_writable, share_memory
from tests.ops.op_table import ELEMENTWISE, FUSED, REDUCE, TABLE, Case
from tinygrad_opt import Tensor, ops, tensor
from tinygrad_opt.autograd import grad
from tinygrad_opt.gradcheck import gradcheck

DIFFERENTIABLE = [case for case in TABLE if case.gradient]
FLOATS = [case for case in TABLE if all(draw.is_float for draw in case.draws)]
every = pytest.mark.parametrize("case", TABLE, ids=str)
every_differentiable = pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)


def gradients(y: Tensor, xs: list[Tensor], create_graph: bool = False) -> list[Tensor]:
    """Those of the float inputs, for a cotangent that is not constant."""
    return list(grad(y, [x for x in xs if x.requires_grad], cotangent(y), create_graph))


@every
def test_value_is_numpys(case: Case) -> None:
    arrays = case.arrays()
    y, expected = case.call(*case.tensors(arrays)), np.asarray(case.expected(*arrays))
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    assert_allclose(host(y), expected, rtol=1e-12, atol=1e-14)


@every_differentiable
def test_derivatives_agree_with_differences_to_second_order(case: Case) -> None:
    gradcheck(case.call, *case.tensors(case.arrays()), order=2)


@every_differentiable
def test_rules_mean_the_same_for_arrays_and_tensors(case: Case) -> None:
    xs = case.tensors(case.arrays())
    y = case.call(*xs)
    for plain, recorded in zip(gradients(y, xs), gradients(y, xs, True), strict=True):
        assert_allclose(host(plain), host(recorded), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("case", FLOATS, ids=str)
def test_keeps_the_dtype_in_value_and_gradient(case: Case, dtype: type) -> None:
    arrays = [a.astype(dtype) for a in case.arrays()]
    xs = case.tensors(arrays)
    y = case.call(*xs)
    expected = np.asarray(case.expected(*(a.astype(np.float64) for a in arrays)))
    if expected.dtype.kind != "f":
        assert y.dtype == expected.dtype
        return
    assert y.dtype == dtype
    digits = {np.float32: 2e-5, np.float16: 2e-2}[dtype]
    assert_allclose(host(y), expected, rtol=digits, atol=digits)
    if case.gradient:
        for g in gradients(y, xs) + gradients(y, xs, True):
            assert g.dtype == dtype


@pytest.mark.parametrize("case", [case for case in FLOATS if not case.gradient], ids=str)
def test_truths_and_indices_are_never_recorded(case: Case) -> None:
    y = case.call(*[tensor(a, requires_grad=True) for a in case.arrays()])
    assert not y.requires_grad
    assert y.is_leaf


@every
def test_leaves_its_inputs_as_they_are(case: Case) -> None:
    arrays = case.arrays()
    xs = case.tensors(arrays)
    y = case.call(*xs)
    if case.gradient:
        gradients(y, xs)
        gradients(y, xs, True)
    for x, a in zip(xs, arrays, strict=True):
        assert np.array_equal(host(x), a)


LAYOUTS = {
    "fortran": lambda xp, a: a.copy(order="F"),
    "strided": lambda xp, a: xp.repeat(a[..., None], 2, axis=-1)[..., 0],
    "backward": lambda xp, a: xp.flip(xp.flip(a).copy()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@every
def test_result_is_independent_of_the_memory_layout(case: Case, layout: str) -> None:
    xs = case.tensors(case.arrays())
    others = [
        Tensor(LAYOUTS[layout](x.device.xp, x.data), requires_grad=x.requires_grad) for x in xs
    ]
    assert all(np.array_equal(host(x), host(other)) for x, other in zip(xs, others, strict=True))
    y, z = case.call(*xs), case.call(*others)
    assert_allclose(host(y), host(z), rtol=1e-13, atol=1e-15)
    if case.gradient:
        for a, b in zip(gradients(y, xs), gradients(z, others), strict=True):
            assert_allclose(host(a), host(b), rtol=1e-12, atol=1e-14)


@every_differentiable
def test_gradients_are_owned_contiguous_and_writable(case: Case) -> None:
    xs = case.tensors(case.arrays())
    case.call(*xs).sum().backward()
    found = [x.grad for x in xs if x.requires_grad]
    for i, g in enumerate(found):
        assert g.data.base is None and g.data.flags.c_contiguous and is_writable(g)
        assert not any(share_memory(g, other) for other in found[:i])


# ---- elementwise ------------------------------------------------------------------------------

elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
of_two = [case for case in ELEMENTWISE if len(case.draws) > 1 and case.gradient]


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 1, 3)], ids=str)
@elementwise
def test_elementwise_takes_every_shape(case: Case, shape: tuple[int, ...]) -> None:
    arrays = case.arrays(shape)
    xs = case.tensors(arrays)
    y = case.call(*xs)
    assert is_array(y)
    assert y.shape == shape
    assert_allclose(host(y), case.expected(*arrays), rtol=1e-12, atol=1e-14)
    if case.gradient:
        for g in gradients(y, xs) + gradients(y, xs, True):
            assert g.shape == shape
            assert is_array(g)


SHAPES = [((2, 3), (3,)), ((2, 1), (3,)), ((), (2, 3)), ((2, 3), ()), ((1, 1, 3), (2, 1))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("case", of_two, ids=str)
def test_elementwise_broadcasts_and_gradients_return(case: Case, shapes: tuple) -> None:
    random = np.random.default_rng(0)
    shapes = (*shapes[-len(case.draws) :], shapes[0])[: len(case.draws)]
    arrays = [np.asarray(d.make(random, s)) for d, s in zip(case.draws, shapes, strict=True)]
    xs = case.tensors(arrays)
    y = case.call(*xs)
    expected = case.expected(*arrays)
    assert y.shape == expected.shape
    assert_allclose(host(y), expected, rtol=1e-12)
    gradcheck(case.call, *xs)


# ---- reductions -------------------------------------------------------------------------------

reductions = pytest.mark.parametrize("case", REDUCE, ids=str)
AXES = [None, 0, -1, (0, 2), (-1, 0), (2, 1, 0), ()]
taking_axes = [case for case in REDUCE if case.kind == "reduce"]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("case", taking_axes, ids=str)
def test_reduces_over_any_axes(case: Case, axis: object, keepdims: bool) -> None:
    axis = (0,) if axis == () and "correction" in case.name else axis  # one element has no spread
    arrays = case.arrays()
    xs = case.tensors(arrays)
    y = case.call(*xs, axis=axis, keepdims=keepdims)
    expected = np.asarray(case.expected(*arrays, axis=axis, keepdims=keepdims))
    assert y.shape == expected.shape
    assert_allclose(host(y), expected, rtol=1e-12, atol=1e-14)
    if case.gradient:
        gradcheck(lambda x: case.call(x, axis=axis, keepdims=keepdims), *xs)


@pytest.mark.parametrize("case", taking_axes, ids=str)
def test_reduces_no_rows_to_no_results(case: Case) -> None:
    arrays = case.arrays((0, 3))
    xs = case.tensors(arrays)
    y = case.call(*xs, axis=1)
    assert y.shape == (0,)
    if case.gradient:
        for g in gradients(y, xs) + gradients(y, xs, True):
            assert g.shape == (0, 3)


@pytest.mark.parametrize("case", [c for c in taking_axes if "correction" not in c.name], ids=str)
def test_reduces_one_number(case: Case) -> None:
    arrays = case.arrays(())
    xs = case.tensors(arrays)
    y = case.call(*xs)
    assert y.shape == ()
    assert_allclose(host(y), case.expected(*arrays), rtol=1e-12, atol=1e-14)
    if case.gradient:
        assert all(g.shape == () for g in gradients(y, xs))


# ---- fused ------------------------------------------------------------------------------------


def second(f, xs: list[Tensor], case: Case) -> tuple[Tensor, ...]:
    """Gradients of one number that is made of the gradients of f."""
    floats = [x for x in xs if x.requires_grad]
    y = f(*xs, **case.params)
    first = grad((y * y).sum(), floats, create_graph=True)
    return grad(ops.stack([(g * g * g).sum() for g in first]).sum(), floats)


@pytest.mark.parametrize("case", FUSED, ids=str)
def test_fused_equals_its_composition(case: Case) -> None:
    xs = case.tensors(case.arrays())
    composition = case.f.op.composition
    y, z = case.call(*xs), composition(*xs, **case.params)
    assert_allclose(host(y), host(z), rtol=1e-12, atol=1e-14)
    for a, b in zip(gradients(y, xs), gradients(z, xs), strict=True):
        assert_allclose(host(a), host(b), rtol=1e-12, atol=1e-14)
    for a, b in zip(second(case.f, xs, case), second(composition, xs, case), strict=True):
        assert_allclose(host(a), host(b), rtol=1e-12, atol=1e-12)


# ---- nothing at all ---------------------------------------------------------------------------

EMPTY = [
    ("matmul no rows", ops.matmul, np.matmul, (0, 3), (3, 2)),
    ("matmul nothing to add", ops.matmul, np.matmul, (2, 0), (0, 3)),
    ("matmul no stack", ops.matmul, np.matmul, (0, 2, 3), (3, 2)),
    ("linear no rows", ops.linear, lambda x, w: x @ w.T, (0, 3), (4, 3)),
    ("softmax no rows", ops.softmax, lambda x: x, (0, 3)),
    ("log_softmax no rows", ops.log_softmax, lambda x: x, (0, 3)),
    ("sum", ops.sum, np.sum, (0, 3)),
    ("prod", ops.prod, np.prod, (0, 3)),
    ("cumsum", ops.cumsum, np.cumsum, (0, 3)),
    ("reshape", lambda x: ops.reshape(x, 3, 0), lambda x: x.reshape(3, 0), (0, 3)),
    ("flatten", ops.flatten, np.ravel, (0, 3)),
    ("transpose", ops.transpose, np.transpose, (0, 3)),
    ("concatenate", lambda a, b: ops.concatenate([a, b]), lambda a, b: b, (0, 3), (2, 3)),
    ("stack", lambda a, b: ops.stack([a, b]), lambda a, b: np.stack([a, b]), (0, 3), (0, 3)),
    ("split", lambda x: ops.split(x, 2)[1], lambda x: x, (0, 3)),
    ("getitem", lambda x: x[1:1], lambda x: x[1:1], (2, 3)),
    ("getitem truths", lambda x: x[x > 9], lambda x: x[x > 9], (2, 3)),
    ("pad", lambda x: ops.pad(x, 1), lambda x: np.pad(x, 1), (0, 3)),
    ("tile", lambda x: ops.tile(x, 2), lambda x: np.tile(x, 2), (0, 3)),
    ("repeat", lambda x: ops.repeat(x, 0, 1), lambda x: np.repeat(x, 0, 1), (2, 3)),
    ("diagonal", ops.diagonal, np.diagonal, (0, 3)),
    ("tril", ops.tril, np.tril, (0, 3)),
    ("einsum", lambda *x: ops.einsum("ij,jk", *x), np.matmul, (2, 0), (0, 3)),
]


@pytest.mark.parametrize(("f", "reference", "shapes"), [(f, r, s) for _, f, r, *s in EMPTY],
                         ids=[name for name, *_ in EMPTY])  # fmt: skip
def test_works_on_nothing(f, reference, shapes) -> None:
    arrays = [np.random.default_rng(0).standard_normal(s) for s in shapes]
    xs = [tensor(a, requires_grad=True) for a in arrays]
    y = f(*xs)
    assert_allclose(host(y), reference(*arrays))
    for g, x in zip(gradients(y, xs) + gradients(y, xs, True), xs * 2, strict=True):
        assert g.shape == x.shape


# ---- coverage ---------------------------------------------------------------------------------

COVERED = {case.operation for case in TABLE}


@pytest.mark.host
def test_every_operation_is_in_the_table() -> None:
    assert set(ops.__all__) - COVERED == set()
    assert COVERED - set(ops.__all__) == set()


@pytest.mark.host
def test_every_operation_of_tensor_is_in_the_table() -> None:
    """A method is one of the public functions of `ops`, so its line is that function's."""
    public = {getattr(ops, name) for name in ops.__all__}
    for name, method in vars(Tensor).items():
        if getattr(method, "__module__", "").startswith(("tinygrad_opt.op", "tinygrad_opt.ops")):
            assert method in public, name


@pytest.mark.host
def test_every_fused_operation_names_its_composition() -> None:
    rows = {name: getattr(getattr(ops, name), "op", None) for name in ops.__all__}
    fused = {name for name, row in rows.items() if row and row.composition is not None}
    assert fused == {case.operation for case in FUSED}


@pytest.mark.host
def test_operations_carry_their_sentence_and_signature() -> None:
    for name in ops.__all__:
        f = getattr(ops, name)
        assert f.__doc__
        assert f.__doc__.rstrip().endswith(".")


ASKED_FOR = """
add subtract multiply divide power negative reciprocal exp expm1 log log1p log2 sqrt square abs sign
sin cos tan arcsin arccos arctan sinh cosh tanh sigmoid softplus relu leaky_relu elu gelu silu
maximum minimum clip where floor ceil round isnan isfinite
sum mean prod max min argmax argmin var std logsumexp norm cumsum any all
reshape flatten transpose permute swapaxes moveaxis squeeze expand_dims broadcast_to concatenate
stack split flip roll pad tile repeat getitem take_along_axis diagonal tril triu
matmul einsum outer dot trace
linear softmax log_softmax cross_entropy mse_loss dropout
"""


@pytest.mark.host
@pytest.mark.parametrize("name", ASKED_FOR.split())
def test_exists(name: str) -> None:
    assert callable(getattr(ops, name))
