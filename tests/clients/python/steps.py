"""What both sessions share: steps that are printed, and the tree they upload."""

import os
import sys
from pathlib import Path

DRIVE, USER, PASSWORD = sys.argv[1:4]
TREE, GOT = Path(sys.argv[4]), Path(sys.argv[5])


def step(name, run):
    """Runs one step; `None` and `True` are good, all else is what went wrong."""
    try:
        wrong = run()
    except Exception as error:  # whatever a client throws is what the step failed with
        wrong = f"{type(error).__name__}: {error}"
    if wrong is None or wrong is True:
        print(f"ok {name}")
    else:
        print(f"FAILED {name}: {wrong}".replace("\n", " "))


def refused(run, kind=Exception):
    """Whether `run` fails."""
    try:
        run()
    except kind:
        return True
    return "was not refused"


NAMES = sorted(os.listdir(TREE))
FILES = [name for name in NAMES if (TREE / name).is_file()]
MANY = sorted(os.listdir(TREE / "many"))
DEEP = [str(Path(folder).relative_to(TREE)) for folder, _, _ in os.walk(TREE / "deep")]
