"""How long `trunkline validate` takes for a file of 200 steps, with all that it imports, and what it spends it on.

    python benchmarks/validate.py

Each round is a process of its own. The aim is a second.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
FOUR_STEPS = """{{ name = read_{0}, read {{ format = rest, options {{ url = "https://a.example/x", pagination = none
    auth {{ type = bearer, token = ${{secrets.api}} }} }} }}, retry {{ max_attempts = 3, initial_delay = 5s }} }}
  {{ name = clean_{0}, sql = "SELECT * FROM read_{0} WHERE day = '${{vars.day}}'" }}
  {{ name = good_{0}, expect = [ {{ column = id, rule = not_null, severity = drop }} ] }}
  {{ name = out_{0}, write {{ format = parquet, path = ${{vars.root}}"/x", mode = overwrite }}, timeout = 5m }}
"""
HEAD = 'name = x, vars { root = /data, day = 2026-01-01 }, secrets { api = "vault:kv/api#token" }\nsteps = [\n'
VALIDATE = (
    "import sys, time\nfrom trunkline.cli import main\nmain(['validate', sys.argv[1]])\nprint(time.process_time())"
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.conf"
        path.write_text(HEAD + "".join(FOUR_STEPS.format(n) for n in range(50)) + "]", encoding="utf-8")
        walls, works = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            command = [sys.executable, "-c", VALIDATE, str(path)]
            lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            walls.append(time.perf_counter() - began)
            assert lines[0] == "x is valid: 200 steps", lines[0]
            works.append(float(lines[-1]))
    print(f"200 steps: {min(walls):.2f} s from start to end, {min(works):.2f} s of processor time; best of {ROUNDS}")


if __name__ == "__main__":
    main()
