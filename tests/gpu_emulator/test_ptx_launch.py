"""Checks of arguments and names, and PTX text without a compiler."""

import numpy as np
import pytest

from tools.gpu_emulator.ptx import BadLaunch, NotKnown, OutOfBounds, Uninitialised, launch

SCALE = """
//
// a comment, with @%p1 bra $L__BB0_2; in it
.version 9.0
.target sm_90 /* and
another; */ .address_size 64
\t.file 1 "scale.cu"
.visible .entry scale(
    .param .u64 .ptr .align 1 scale_param_0,
    .param .f32 scale_param_1,
    .param .u32 scale_param_2
)
.maxntid 256, 1, 1
{
    .reg .pred %p<2>;
    .reg .f32 %f<4>;
    .reg .b32 %r<6>;
    .reg .b64 %rd<5>;
    .loc 1 2 0
    ld.param.u64 %rd1, [scale_param_0];
    ld.param.f32 %f1, [scale_param_1];
    ld.param.u32 %r2, [scale_param_2];
    mov.u32 %r1, %tid.x;
    { .reg .b32 %r1; mov.u32 %r1, 7; }
    .loc 1 7 0, function_name $L__info_string0, inlined_at 1 2 0
    setp.ge.s32 %p1, %r1, %r2;
    @%p1 bra $L__BB0_2;
    mad.wide.s32 %rd4, %r1, 4, %rd1;
    ld.global.f32 %f2, [%rd4+-0];
    mul.ftz.f32 %f3, %f2, %f1;
    st.global.f32 [%rd4], %f3;
$L__BB0_2:
    ret;
}
.section .debug_str { info: .b8 65, 0 }
"""


def test_text_is_executed():
    x = np.arange(10, dtype="f4")
    report = launch(SCALE, "scale", [1], (16,), [x, np.float32(3), np.int32(7)])
    np.testing.assert_array_equal(x, np.where(np.arange(10) < 7, 3.0, 1.0) * np.arange(10))
    assert [t.source for t in report.traffic] == [7, 7]
    with pytest.raises(OutOfBounds) as caught:
        launch(SCALE, "scale", 1, 16, [x, np.float32(3), np.int32(11)])
    assert (caught.value.line, caught.value.source, caught.value.thread) == (29, 7, (10, 0, 0))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([np.zeros(1, "f4"), np.float32(1)], "expected 3 arguments, got 2"),
        (
            [np.zeros(1, "f4"), np.float64(1), np.int32(1)],
            "argument 1 expected a .f32 of 4 bytes, got float64",
        ),
        (
            [np.zeros(1, "f4"), np.int32(1), np.int32(1)],
            "argument 1 expected a .f32 of 4 bytes, got int32",
        ),
        (
            [np.zeros(1, "f4"), np.float32(1), np.int64(1)],
            "argument 2 expected a .u32 of 4 bytes, got int64",
        ),
        (
            [np.zeros(1, "f4"), 1.0, np.int32(1)],
            "argument 1 expected an array or a NumPy scalar, got float",
        ),
        (
            [np.zeros(1, "f4"), np.float32(1), np.zeros(1, "i4")],
            "argument 2 expected a .u32 of 4 bytes, got int64",
        ),
    ],
)
def test_arguments_that_do_not_fit(args, message):
    with pytest.raises(BadLaunch, match=message):
        launch(SCALE, "scale", 1, 16, args)


def test_extents_and_names_that_do_not_exist():
    args = [np.zeros(1, "f4"), np.float32(1), np.int32(1)]
    for grid, block, shared in (
        (0, 1, 0),
        (1, (1, 2, 3, 4), 0),
        (1, (64, 32), 0),
        (1, 257, 0),
        (1, 32, 1 << 18),
        (1 << 22, 1, 0),
    ):
        with pytest.raises(BadLaunch, match=r"blocks of|extents"):
            launch(SCALE, "scale", grid, block, args, shared=shared)
    with pytest.raises(NotKnown, match=r"a kernel 'scales'; the PTX has \['scale'\]"):
        launch(SCALE, "scales", 1, 1, args)


def test_an_empty_array_has_an_address_and_nothing_behind_it():
    launch(SCALE, "scale", 1, 16, [np.zeros(0, "f4"), np.float32(3), np.int32(0)])
    with pytest.raises(OutOfBounds, match=r"0 bytes past the end of argument 0 \(0 bytes\)"):
        launch(SCALE, "scale", 1, 16, [np.zeros(0, "f4"), np.float32(3), np.int32(1)])


def body(text):
    return (
        ".visible .entry f() {\n.reg .b32 %r<9>; .reg .pred %p<2>; .reg .b64 %rd<4>;\n"
        + text
        + "\n}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frobnicate.u32 %r1, %r2;", r"the opcode; `frobnicate.u32 %r1, %r2` \(PTX line 3\) of f"),
        ("div.rz.f64 %rd1, %rd2, %rd3;", "its rounding"),
        ("mov.u32 %r1, %clock;", "the special register %clock"),
        ("mov.u64 %rd1, nowhere;", r"the name nowhere; `mov.u64 %rd1, nowhere` \(PTX line 3\)"),
        ("call.uni other, ();", "the function other that PTX line 3 calls"),
        (".branchtargets a, b;", "the directive `.branchtargets a , b`"),
        ("ld.global.u32 %r1, [%rd1+%rd2];", "an operand of ld.global.u32 at PTX line 3"),
        ("bra nowhere;", "its form; `bra nowhere`"),
        ("add.s32 %r1, %r2;", "its form; `add.s32 %r1, %r2`"),
    ],
)
def test_unsupported_instructions_are_named(text, message):
    with pytest.raises(NotKnown, match=message):
        launch(body(text), "f", 1, 1, [])
    with pytest.raises(NotKnown, match=r"`\.alias` at PTX line 1 outside of a function"):
        launch(".alias a, b;", "f", 1, 1, [])


def test_an_unwritten_register():
    with pytest.raises(
        Uninitialised, match=r"a register is read before it is written; `add\.s32 %r1, %r2, 1`"
    ):
        launch(body("add.s32 %r1, %r2, 1; ret;"), "f", 1, 1, [])


def test_guarded_instructions_and_an_early_exit():
    text = """
    .visible .entry f(.param .u64 p) {
        .reg .b32 %r<3>; .reg .pred %p<3>; .reg .b64 %rd<3>;
        ld.param.u64 %rd1, [p];
        mov.u32 %r1, %tid.x;
        mad.wide.u32 %rd2, %r1, 4, %rd1;
        setp.gt.u32 %p1, %r1, 20;
        setp.lt.u32 %p2, %r1, 4;
        mov.b32 %r2, 5;
        @%p1 mov.b32 %r2, 6;
        @%p2 exit;
        @!%p1 st.global.u32 [%rd2], %r2;
        @%p1 st.global.u32 [%rd2], %r2;
    }
    """
    y = np.zeros(32, "i4")
    launch(text, "f", 1, 32, [y])
    np.testing.assert_array_equal(y, [0] * 4 + [5] * 17 + [6] * 11)


def test_a_register_that_is_flushed_only_sometimes():
    text = """
    .visible .entry f(.param .u64 p) {
        .reg .f32 %f<3>; .reg .b32 %r<3>; .reg .pred %p<3>; .reg .b64 %rd<3>;
        ld.param.u64 %rd1, [p];
        ld.global.f32 %f1, [%rd1];
        mov.u32 %r1, %tid.x;
        setp.gt.u32 %p1, %r1, 100;
        @%p1 mul.ftz.f32 %f1, %f1, %f1;
        mul.ftz.f32 %f2, %f1, 0f60000000;
        st.global.f32 [%rd1+4], %f2;
    }
    """
    x = np.array([1e-39, 1], "f4")
    launch(text, "f", 1, 1, [x])
    assert x[1] == 0


def test_a_guarded_call():
    text = """
    .func (.param .b32 result) doubled(.param .b32 given) {
        .reg .b32 %r<3>; .reg .pred %p;
        ld.param.u32 %r1, [given];
        add.u32 %r2, %r1, %r1;
        setp.lt.u32 %p, %r1, 20;
        st.param.b32 [result+0], %r2;
        @%p ret;
        st.param.b32 [result+0], 1;
        ret;
    }
    .visible .entry f(.param .u64 p) {
        .reg .b32 %r<3>; .reg .pred %p<3>; .reg .b64 %rd<3>;
        ld.param.u64 %rd1, [p];
        mov.u32 %r1, %tid.x;
        mad.wide.u32 %rd2, %r1, 4, %rd1;
        setp.gt.u32 %p1, %r1, 4;
        {
            .param .b32 in; .param .b32 out;
            st.param.b32 [in], %r1;
            st.param.b32 [out], 0;
            @%p1 call.uni (out), doubled, (in);
            ld.param.b32 %r2, [out];
        }
        st.global.u32 [%rd2], %r2;
    }
    """
    y = np.full(32, -1, "i4")
    launch(text, "f", 1, 32, [y])
    i = np.arange(32)
    np.testing.assert_array_equal(y, np.where(i > 4, np.where(i < 20, 2 * i, 1), 0))
