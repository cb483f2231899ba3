"""Write surface.json from the installed CuPy; see `cupy_names.py`.

python -m tools.gpu_emulator.standin.record
"""

from tools.gpu_emulator.standin.cupy_names import FILE, surface, written

if __name__ == "__main__":
    FILE.write_text(written(surface()))
