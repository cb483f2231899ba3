"""The layout of the repository: imports, tests, the wheel, the links."""

import ast
import functools
import graphlib
import importlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tinygrad_ckn

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_ckn"
# Each may import those before it, and its own files.
ORDER = """
    errors files notebook array_types integers random_numbers backend chunks checks memory plain
    parallel
    stored_rows lazy_images grad_mode drawing ownership registry scattered refusals signature hooks
    plan primitive graph accumulation backward gradient tensor_operators tensor_values tensor
    interchange functional profiling windows ops einops_backend derivatives cpu cuda block_sums
    labels fingerprints groups data_format
    nn optim models sklearn data plots training testing cli
""".split()
# The same inside models/.
MODELS = """
    registry checks batched example_weights kernels training_record preprocessing presets
    clustering linear layers network_structure network_base learning
    trainable_network network ckn cnn exact factory
""".split()
# Computed on whatever device its operands are on: NumPy is a backend there, not a name.
DEVICE_CODE = """
    primitive graph backward gradient tensor tensor_operators tensor_values functional derivatives
    scattered ownership signature registry drawing grad_mode windows interchange profiling ops nn
    optim cuda models/kernels models/clustering models/layers/conv_layer models/layers/pooling
    models/ckn models/cnn models/exact
""".split()


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """Return the dotted name of a module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


SOURCES = sources()
NAMES = {name_of(path) for path in SOURCES}
# The face of a package: what imports through it is its user, not a part of a circle.
FACES = {name_of(path) for path in SOURCES if path.name == "__init__.py"}


@functools.cache
def import_statements(path):
    """Return the import statements of a file, with whether they are for types alone."""
    found = []

    def visit(node, typing_only):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, typing_only))
        is_typing = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                visit(child, typing_only or is_typing)

    visit(ast.parse(path.read_text()), False)
    return found


def imports(path, *, types=False):
    """Yield the modules of the package that a file imports, with the line.

    Imports within functions count; those for types alone only where `types` says so.
    """
    for node, typing_only in import_statements(path):
        if typing_only and not types:
            continue
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names if a.name in NAMES)
        elif node.module in NAMES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in NAMES else node.module), node.lineno


def test_no_modules_import_each_other():
    graph = {
        name_of(path): {name for name, _ in imports(path, types=True)} - FACES
        for path in SOURCES
        if name_of(path) not in FACES
    }
    # CycleError names the circle
    graphlib.TopologicalSorter(graph).prepare()


def against_the_order(order, root, *, types):
    """Return the imports that lead from a part of a package to one that stands below it."""
    depth = len(name_of(root).split("."))
    wrong = []
    for path in SOURCES:
        if not path.is_relative_to(root) or (path.parent == root and path.name.startswith("__")):
            continue
        part = name_of(path).split(".")[depth]
        for module, line in imports(path, types=types):
            if module.startswith(name_of(root) + "."):
                other = module.split(".")[depth]
                if order.index(other) > order.index(part):
                    wrong.append(f"{path}:{line} imports {module}")
    return wrong


def test_imports_go_one_way():
    assert against_the_order(ORDER, PACKAGE, types=False) == []


def test_imports_go_one_way_inside_models():
    assert against_the_order(MODELS, PACKAGE / "models", types=True) == []


def test_device_code_does_not_name_numpy_and_nothing_names_cupy():
    wrong = []
    for path in SOURCES:
        inside = path.relative_to(PACKAGE).with_suffix("").as_posix()
        forbidden = {"cupy"} if inside != "backend" else set()
        if any(inside == part or inside.startswith(part + "/") for part in DEVICE_CODE):
            forbidden.add("numpy")
        for node, typing_only in import_statements(path):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if not typing_only and {n.split(".")[0] for n in names} & forbidden:
                wrong.append(f"{path}:{node.lineno}")
    assert wrong == []


def test_models_know_nothing_of_threads():
    assert not [
        f"{path}:{line}"
        for path in (PACKAGE / "models").rglob("*.py")
        for module, line in imports(path)
        if module == "tinygrad_ckn.parallel"
    ]


def test_module_names_have_no_leading_underscore():
    # public is what the `__all__` of a package names
    assert [path for path in SOURCES if re.match(r"_(?!_)", path.name)] == []


# Modules without a test file of their own, by the reason; each names where they are tested.
TESTED_ELSEWHERE = {
    "an operation: its cases check values, derivatives, dtypes and errors "
    "(tests/ops/test_cases.py, tests/ops/test_degenerate.py)": """
        ops/ckn_map ops/conversion ops/methods
    """,
    "one algorithm of correlate2d: all are compared with each other and with the reference "
    "(tests/cpu/correlate/test_dispatch.py)": """
        cpu/correlate/direct cpu/correlate/fft cpu/correlate/toeplitz cpu/correlate/unfold
        cpu/correlate/winograd
    """,
    "stacks of inverse roots, and substitution (tests/ops/linalg/test_roots.py, "
    "tests/ops/linalg/test_solve.py)": "cpu/linalg",
    "records of labels and pixels (tests/data/test_cifar.py, tests/data/test_cifar100.py)": """
        data/cifar_records
    """,
    "a kernel for GPUs: compiled with NVRTC and executed by an interpreter "
    "(tests/gpu/test_kernels_compile.py, tests/gpu/test_kernels_ckn_map.py)": """
        cuda/ckn_map cuda/correlate cuda/direct cuda/kernels cuda/kmeans cuda/launch cuda/linalg
        cuda/pool cuda/window
    """,
    "an estimator: scikit-learn's checks run on all of them (tests/test_sklearn.py)": """
        sklearn/base sklearn/classifier sklearn/nystroem sklearn/regressor sklearn/transformer
    """,
    "a part of gradcheck, whose verdicts are tested on planted errors "
    "(tests/testing/test_gradcheck.py, tests/testing/test_trial.py)": """
        testing/arguments testing/examine testing/first_order testing/lines testing/point
        testing/problem testing/products testing/second_culprit testing/second_order
        testing/verdict
    """,
    "the cases of operations, one at least for each (tests/ops/test_cases.py)": """
        testing/cases testing/strategies testing/op_cases/decompositions
        testing/op_cases/elementwise testing/op_cases/inputs
        testing/op_cases/kernels testing/op_cases/linalg testing/op_cases/losses
        testing/op_cases/modules
        testing/op_cases/pooling testing/op_cases/products testing/op_cases/reductions
        testing/op_cases/shape testing/op_cases/windows
    """,
    "a part of recording a graph and walking back through it (tests/test_primitive.py, "
    "tests/test_backward.py, tests/test_retention.py)": "graph registry",
    "the text of a Tensor and its graph (tests/test_tensor.py)": "drawing interchange",
    "a part of fit_linear, whose solutions are compared with SciPy's "
    "(tests/models/linear/test_logistic.py)": "models/linear/folds models/linear/problem",
    "classes without behaviour (tests/test_install_sentences.py)": "errors",
    "types in annotations (tests/test_types.py, tests/test_signature.py)": "array_types",
    "the one slicer (tests/test_block_sums.py)": "chunks",
}


def test_each_module_has_its_test_file():
    elsewhere = {module for modules in TESTED_ELSEWHERE.values() for module in modules.split()}
    missing, stale = [], []
    for path in SOURCES:
        module = path.relative_to(PACKAGE).with_suffix("")
        test = Path("tests") / module.parent / f"test_{module.name}.py"
        if module.name.startswith("__"):
            continue
        if (ROOT / test).exists():
            stale += [str(module)] if str(module) in elsewhere else []
        elif str(module) not in elsewhere:
            missing.append(str(test))
    assert missing == []
    # tested at the mirrored place by now: to be taken from the table
    assert stale == []


@pytest.mark.parametrize("why", TESTED_ELSEWHERE)
def test_what_is_tested_elsewhere_is_tested_there(why):
    files = re.findall(r"tests/[\w/]+\.py", why)
    assert files
    assert all((ROOT / file).exists() for file in files)
    for module in TESTED_ELSEWHERE[why].split():
        assert (PACKAGE / f"{module}.py").exists(), f"{module}: TESTED_ELSEWHERE is stale"


def run(code, cwd=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    heavy = [
        "typer",
        "rich",
        "scipy",
        "safetensors",
        "cupy",
        "matplotlib",
        "hypothesis",
        "threadpoolctl",
        "sklearn",
    ]
    assert run(f"import sys, tinygrad_ckn; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_subpackages_are_imported_when_first_used():
    assert (
        run("import tinygrad_ckn as t; print(t.models.CKN.__name__, t.nn.Linear.__name__)")
        == "CKN Linear"
    )
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tinygrad_ckn.nonsense
    assert tinygrad_ckn.__getattr__("optim") is tinygrad_ckn.optim


def test_links_lead_to_the_same_classes():
    for name in ("ops", "models", "cuda"):
        assert (ROOT / name).is_symlink()
        assert (ROOT / name).resolve() == PACKAGE / name
    code = "import tinygrad_ckn.models as m, models; print(models.CKN is m.CKN)"
    assert run(code, cwd=ROOT) == "True"


def test_the_root_on_the_path_does_not_hide_nvidias_cuda(tmp_path):
    # NVIDIA's namespace package, as its wheels lay it out
    pathfinder = tmp_path / "cuda" / "pathfinder"
    pathfinder.mkdir(parents=True)
    (pathfinder / "__init__.py").write_text("found = True\n")
    code = f"import sys; sys.path[:0] = {[str(ROOT), str(tmp_path)]!r}; "
    code += "import cuda.pathfinder as p; print(p.found)"
    assert run(code, cwd=ROOT) == "True"
    assert not (PACKAGE / "cuda" / "__init__.py").exists()


def test_the_wheel_contains_the_package_only(tmp_path):
    pytest.importorskip("build", reason="building a wheel needs the extra [dev]")
    pytest.importorskip("hatchling", reason="building without isolation needs hatchling")
    # sdist, then wheel
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"tinygrad_ckn", f"tinygrad_ckn-{tinygrad_ckn.__version__}.dist-info"}
    for needed in ("py.typed", "data/digits.npz", "data/ATTRIBUTION.md", "cuda/README.md"):
        assert f"tinygrad_ckn/{needed}" in names
    modules = {str(path.relative_to(ROOT)) for path in [*SOURCES, *PACKAGE.rglob("*.cu")]}
    assert modules <= set(names)


def test_no_file_is_longer_than_400_lines():
    long = [str(path) for path in SOURCES if len(path.read_text().splitlines()) > 400]
    assert long == []


def packages():
    return [path.parent for path in PACKAGE.rglob("__init__.py") if "__all__" in path.read_text()]


@pytest.mark.parametrize("folder", packages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_dir_shows_what_all_names_and_nothing_else(folder):
    name = ".".join(folder.relative_to(ROOT).parts)
    module = importlib.import_module(name)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_modules_are_attributes_and_sklearn_is_imported_when_first_used():
    code = "import sys, tinygrad_ckn as t; "
    code += "print(t.errors.CKNError.__name__, t.profiling.profile.__name__, "
    code += "t.functional.vjp is t.vjp, 'sklearn' in sys.modules, t.sklearn.CKNClassifier.__name__)"
    assert run(code) == "CKNError profile True False CKNClassifier"
