"""The shape of the repository: what is imported when, and what a wheel and a checkout contain."""

import ast
import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tinygrad_ckn

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinygrad_ckn"
# Each may import those before it, and its own files.
ORDER = "errors files backend chunks checks memory plain parallel grad_mode drawing ownership registry".split()
ORDER += "scattered signature hooks plan refusals primitive graph accumulation backward tensor interchange functional profiling".split()
ORDER += "windows ops cpu cuda block_sums labels fingerprints data_format nn optim".split()
ORDER += "models sklearn data plots training testing cli".split()


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(module):
    """Return the name in ORDER that a dotted module below tinygrad_ckn belongs to."""
    return module.split(".")[1] if "." in module else ""


def imports(path):
    """Yield the modules of the package that a file imports at run time, with the line."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "tinygrad_ckn"
        ):
            names = (
                [node.module]
                if node.module != "tinygrad_ckn"
                else [f"tinygrad_ckn.{a.name}" for a in node.names]
            )
            yield from ((name, node.lineno) for name in names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    for module, line in imports(path):
        other = part_of(module)
        if other in ORDER:
            assert ORDER.index(other) <= ORDER.index(own), f"{path}:{line} imports {module}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_seam_and_the_host_side_name_numpy(path):
    # Threads, files, tables and labels live on the host.
    host = {
        "backend.py",
        "memory.py",
        "parallel.py",
        "labels.py",
        "fingerprints.py",
        "data_format.py",
        "data",
        "training",
        "cli",
    }
    if path.relative_to(PACKAGE).parts[0] in host:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not any(name.split(".")[0] in ("numpy", "cupy") for name in names), (
            f"{path}:{node.lineno}"
        )


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda p: p.name)
def test_models_know_nothing_of_threads(path):
    assert not [line for module, line in imports(path) if module == "tinygrad_ckn.parallel"]


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
        run(
            "import tinygrad_ckn; print(tinygrad_ckn.models.CKN.__name__, tinygrad_ckn.nn.Linear.__name__)"
        )
        == "CKN Linear"
    )
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tinygrad_ckn.nonsense
    assert tinygrad_ckn.__getattr__("optim") is tinygrad_ckn.optim


def test_links_lead_to_the_same_classes():
    for name in ("ops", "models", "cuda"):
        assert (ROOT / name).is_symlink()
        assert (ROOT / name).resolve() == PACKAGE / name
    code = "import tinygrad_ckn.models, models; from models import CKN; print(CKN is tinygrad_ckn.models.CKN)"
    assert run(code, cwd=ROOT) == "True"


def test_the_root_on_the_path_does_not_hide_nvidias_cuda(tmp_path):
    pathfinder = (
        tmp_path / "cuda" / "pathfinder"
    )  # NVIDIA's namespace package, as its wheels lay it out
    pathfinder.mkdir(parents=True)
    (pathfinder / "__init__.py").write_text("found = True\n")
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; import cuda.pathfinder as p; print(p.found)"
    assert run(code, cwd=ROOT) == "True"
    assert not (PACKAGE / "cuda" / "__init__.py").exists()


def test_the_wheel_contains_the_package_only(tmp_path):
    pytest.importorskip("build", reason="building a wheel needs the extra [dev]")
    pytest.importorskip("hatchling", reason="building without isolation needs hatchling")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            str(tmp_path),
            str(ROOT),
        ],  # sdist, then wheel
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"tinygrad_ckn", f"tinygrad_ckn-{tinygrad_ckn.__version__}.dist-info"}
    for needed in ("py.typed", "data/digits.npz", "data/ATTRIBUTION.md", "cuda/README.md"):
        assert f"tinygrad_ckn/{needed}" in names
    modules = {str(path.relative_to(ROOT)) for path in [*sources(), *PACKAGE.rglob("*.cu")]}
    assert modules <= set(names)


def test_no_file_is_longer_than_400_lines():
    long = [str(path) for path in sources() if len(path.read_text().splitlines()) > 400]
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
    code = "import sys, tinygrad_ckn as t; print(t.errors.CKNError.__name__, t.profiling.profile.__name__, "
    code += "t.functional.vjp is t.vjp, 'sklearn' in sys.modules, t.sklearn.CKNClassifier.__name__)"
    assert run(code) == "CKNError profile True False CKNClassifier"
