import sys

import pytest

from tools.gpu_emulator import nvrtc

SCALE = """
template <typename T> __global__ void scale(T* x, T factor, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] *= factor;
}
"""


def test_a_template_is_instantiated_by_name(compiler):
    program = compiler.compile(SCALE, ["scale<float>", "scale<double>"], options=["-std=c++17"])
    assert set(program.names) == {"scale<float>", "scale<double>"}
    for name in program.names.values():
        assert f".entry {name}(" in program.ptx
    assert program.cubin[:4] == b"\x7fELF"
    assert "0 bytes spill stores" in program.log


def test_cupys_options_are_used(compiler):
    program = compiler.compile(SCALE, ["scale<float>"])
    assert "mul.ftz.f32" in program.ptx
    assert ".target sm_90" in program.ptx
    plain_function = (
        "float twice(float x) { return 2 * x; } __global__ void f(float* x) { *x = twice(*x); }"
    )
    # callable without being marked __device__
    assert compiler.compile(plain_function, ["f"], arch=75).names


def test_lines_of_the_source_are_in_the_ptx(compiler):
    assert "\t.loc\t1 4 " in compiler.compile(SCALE, ["scale<float>"]).ptx


def test_the_same_request_is_compiled_once(compiler):
    first = compiler.compile(SCALE, ["scale<float>"])
    assert compiler.compile(SCALE, ("scale<float>",)) is first
    assert compiler.compile(SCALE, ["scale<float>"], arch=80) is not first


def test_another_process_finds_the_result_in_a_file(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv("NVRTC_CACHE", str(tmp_path))
    compiler._compile.cache_clear()
    first = compiler.compile(SCALE, ["scale<float>"])
    (file,) = tmp_path.iterdir()
    compiler._compile.cache_clear()
    monkeypatch.setattr(compiler, "_compile_uncached", None)
    assert compiler.compile(SCALE, ["scale<float>"]) == first
    monkeypatch.undo()
    monkeypatch.setenv("NVRTC_CACHE", str(tmp_path))
    file.write_text("{")
    compiler._compile.cache_clear()
    assert compiler.compile(SCALE, ["scale<float>"]).ptx == first.ptx


def test_a_refused_source_raises_with_the_log(compiler):
    with pytest.raises(compiler.CompilationError, match='identifier "y" is undefined'):
        compiler.compile("__global__ void f(float* x) { *x = y; }", ["f"])
    with pytest.raises(compiler.CompilationError, match="scale<complex>"):
        compiler.compile(SCALE, ["scale<complex>"])


def test_a_missing_library_is_described(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", None)
    assert "pip install nvidia-cuda-nvrtc==13.0.88" in nvrtc.missing()
