"""From measured engine profiles, workloads and objectives to plans; the `planner` command is `planner.cli`."""

import sys
from importlib.util import find_spec
from os.path import basename, dirname

__version__ = "0.1.0"


def _require_own_models() -> None:
    """Refuse another project's `models`: the name is generic, and the first one on `sys.path` wins."""
    spec = find_spec("models")
    own = dirname(dirname(__file__))  # noqa: PTH120 -- pathlib costs more than the rest of this module
    found = spec.origin if spec else None
    if found is None or dirname(dirname(found)) != own:  # noqa: PTH120
        message = (
            f"Replicast needs its own package 'models' (in {own}), but Python finds {found or 'none with code'}. "
            "Install Replicast by itself (pipx, uv tool, or its own virtual environment) and clear PYTHONPATH."
        )
        if basename(sys.argv[0]).removesuffix(".exe") == "planner":  # noqa: PTH119 -- the command: no traceback
            sys.stderr.write(f"error: {message}\n")
            raise SystemExit(2)
        raise ImportError(message)


_require_own_models()
