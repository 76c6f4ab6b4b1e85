"""`python -m datastores` is the command `datastores`."""

import sys

from datastores.cli import main

if __name__ == "__main__":
    sys.exit(main())
