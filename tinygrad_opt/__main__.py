"""`python -m tinygrad_opt` is the same as the command `tinygrad-opt`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
