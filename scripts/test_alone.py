"""Quick tests of the framework and of packages, each without what it does not stand on.

python scripts/test_alone.py [PACKAGE...] [options of pytest]    # default: framework and all packages

The tests run in a copy of the checkout without the tests and packages of the others, in an environment in which these
packages are not installed. It shares the libraries of the one that runs this script, see scripts/setup.sh.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORK = "framework"
STANDS_ON: dict[str, tuple[str, ...]] = {
    FRAMEWORK: (),
    "compositing": ("video",),
    "demo": ("runtime", "video"),
    "integrations": ("compositing", "runtime", "video"),
    "runtime": (),
    "studio": ("video",),
    "trackers": (),
    "video": (),
}
"""What is tested to the packages that it needs besides the framework; `packages/testing` is for all."""
NODE_MODULES = ROOT / "packages" / "demo" / "node_modules"
"""Libraries of the demo, by ``npm ci``, which git ignores."""


def copy_checkout(folder: Path, packages: set[str]) -> None:
    """Copy the files of the checkout that git does not ignore; tests/ only for the framework, no other packages."""
    words = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.check_output(words, cwd=ROOT, text=True).split("\0")
    for name in filter(None, names):
        top, _, rest = name.partition("/")
        owner = {"tests": FRAMEWORK, "packages": rest.split("/")[0]}.get(top)
        if (owner is None or owner in packages) and os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    if "demo" in packages and NODE_MODULES.is_dir():
        (folder / NODE_MODULES.relative_to(ROOT)).symlink_to(NODE_MODULES)


def make_environment(folder: Path) -> Path:
    """Make an environment with the libraries of this one, without this project; return its Python."""
    venv.create(folder, with_pip=False)
    (target,) = folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
    for source in (Path(path) for path in sys.path if path.endswith("site-packages")):
        for path in source.iterdir():
            if not path.name.startswith(("aotlab", "__editable__")) and not os.path.lexists(target / path.name):
                (target / path.name).symlink_to(path)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run_tests(package: str, options: list[str]) -> int:
    """Run the tests of a package; return pytest's exit code."""
    packages = {package, "testing", *STANDS_ON[package]}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # some tests run as another user
        checkout, python = Path(folder, "checkout"), make_environment(Path(folder, "venv"))
        copy_checkout(checkout, packages)
        projects = [checkout / "packages" / name for name in sorted(packages)]
        editable = [f"--editable={path}" for path in (checkout, *projects) if (path / "pyproject.toml").exists()]
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
        subprocess.check_call([*pip, "--no-deps", "--no-index", "--no-build-isolation", *editable])
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        tests = "tests" if package == FRAMEWORK else f"packages/{package}"
        words = [python, "-m", "pytest", tests, *options]
        return subprocess.call(words, cwd=checkout, env={**environment, "OMP_NUM_THREADS": "1"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"{', '.join(STANDS_ON)} (default: all)")
    words = sys.argv[1:]
    end = next(
        (index for index, word in enumerate(words) if word[0] == "-" and word not in ("-h", "--help")), len(words)
    )
    parsed, options = parser.parse_args(words[:end]), words[end:]
    if unknown := {*parsed.packages} - {*STANDS_ON}:
        parser.error(f"{', '.join(sorted(unknown))}: no such package; give some of {', '.join(STANDS_ON)}")
    failed = [package for package in parsed.packages or STANDS_ON if run_tests(package, options)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
