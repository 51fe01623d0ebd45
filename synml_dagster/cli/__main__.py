"""`python -m synml_dagster.cli` is `synml`."""

import sys

from synml_dagster.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
