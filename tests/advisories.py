"""`python -m tests.advisories`: ask the services that know of vulnerable releases about everything that we install.

Ours from Python by pip-audit (PyPI, or OSV), the rest by npm audit. The answer changes without us, so neither lint nor
test asks. Ends with 1 where something is known, and with 2 where a service did not tell: that is no all-clear.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
NODE_FOLDERS = [".", "tests/support/oidc_provider", "bench/peers/better_auth"]
NPM = ["npm", "--fetch-retries=0", "--fetch-timeout=20000"]  # milliseconds
OSV = "https://api.osv.dev/v1/query"


class NotTold(Exception):
    """A service was not reached, or left something out; the text is what the program said."""


def python_findings(service: str, osv_url: str) -> list[str]:
    """Return what is known of the packages of the environment that runs this. Raises `NotTold`."""
    command = [sys.executable, "-m", "pip_audit", "--local", "--strict", "--format=json", "--progress-spinner=off"]
    answer, said = printed([*command, f"--vulnerability-service={service}", f"--osv-url={osv_url}"], PROJECT)
    if "dependencies" not in answer:
        raise NotTold(said)
    return [
        f"{found['name']} {found['version']}: {known['id']}, repaired in {', '.join(known['fix_versions']) or 'none'}"
        for found in answer["dependencies"]
        for known in found["vulns"]
    ]


def node_findings(folder: Path) -> list[str]:
    """Return what is known of the packages of one folder's lock file, made where it has none. Raises `NotTold`."""
    with tempfile.TemporaryDirectory(prefix="spatialflow-advisories-") as copy:
        for name in ("package.json", "package-lock.json"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy)
        if not (folder / "package-lock.json").exists():
            printed([*NPM, "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--silent"], Path(copy))
        answer, said = printed([*NPM, "audit", "--json"], Path(copy))
    if "vulnerabilities" not in answer:
        raise NotTold(answer.get("message") or said)
    return [
        f"{name} {found['range']}: {found['severity']}, {'repaired' if found['fixAvailable'] else 'not repaired'}"
        for name, found in answer["vulnerabilities"].items()
    ]


def printed(command: list[str], folder: Path) -> tuple[dict[str, Any], str]:
    """Return the JSON object that a program prints, empty where it prints none, and the last line of its errors."""
    if shutil.which(command[0]) is None:
        return {}, f"{command[0]} is not installed."
    ran = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)
    try:
        answer = json.loads(ran.stdout)
    except ValueError:
        answer = {}
    return answer, (ran.stderr.strip().splitlines() or [f"It ended with {ran.returncode}."])[-1]


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.advisories", description=__doc__)
    options.add_argument("--service", choices=["pypi", "osv"], default="pypi", help="who knows of Python's packages")
    options.add_argument("--osv-url", default=OSV)
    chosen = options.parse_args()
    asked = {"Python packages": lambda: python_findings(chosen.service, chosen.osv_url)}
    for folder in NODE_FOLDERS:
        asked[f"{folder}/package.json"] = lambda folder=folder: node_findings(PROJECT / folder)
    known = untold = False
    for name, ask in asked.items():
        try:
            found = ask()
            known = known or bool(found)
            sys.stdout.write("\n  ".join([f"{name}: {len(found) or 'nothing'} known", *found]) + "\n")
        except NotTold as error:
            untold = True
            sys.stdout.write(f"{name}: NOT CHECKED, the advisory service did not tell. It said: {error}\n")
    if untold:
        sys.stdout.write("This is no all-clear. Run it where the advisory services of PyPI and npm can be reached.\n")
    return 1 if known else 2 if untold else 0


if __name__ == "__main__":
    sys.exit(main())
