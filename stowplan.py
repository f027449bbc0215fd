"""The public face of stowplan for notebooks and scripts: ``import stowplan``.

>>> import stowplan
>>> study = stowplan.prepare("scenarios/node-loss.yaml")      # doctest: +SKIP
>>> study.graph, study.placement                              # doctest: +SKIP
>>> report = stowplan.report(study, stowplan.run(study))      # doctest: +SKIP
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_HOME = Path(__file__).resolve().parent
for _name in ("models", "sim", "reports"):
    _spec = find_spec(_name)
    _place = Path(_spec.origin).resolve() if _spec is not None and _spec.origin else None
    if _place is None or _place.parent.parent != _HOME:
        raise ImportError(
            f"stowplan needs its own package {_name!r} beside {_HOME / 'stowplan.py'}, but Python finds "
            f"{_place or 'none'}: start Python in another folder, or rename the package that is in the way"
        )

if __name__ == "__main__":
    from reports.cli import main

    sys.exit(main())
