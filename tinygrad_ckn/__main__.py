"""`python -m tinygrad_ckn` is `tinygrad-ckn`."""

from tinygrad_ckn.cli import main

if __name__ == "__main__":
    main()
