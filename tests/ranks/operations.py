"""The operations of groups and of neighbourhoods, in one launch."""

import runpy
from pathlib import Path

for program in ("groups.py", "neighbours.py"):
    runpy.run_path(str(Path(__file__).with_name(program)))
print("done", flush=True)
