"""Writes each binary's bill of materials as CycloneDX 1.5: target/sam/forgot.cdx.json and target/sam/reset.cdx.json.

    sbom.py TARGET         the target triple

A bill lists the crates that `cargo tree` reports for the binary. Tools that use `cargo metadata` also list crates that
only the tests need, because it unifies the features of both.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(target):
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(each["name"], each["version"]): each.get("checksum") for each in locked}
    for binary in ("forgot", "reset"):
        (name, version, license), *crates = crates_of(binary, target)
        bom = {
            "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": {"type": "application", "name": name, "version": version,
                                       "licenses": [{"expression": license}]}},
            "components": [component(*crate, checksums) for crate in sorted(set(crates))],
        }
        file = ROOT / f"target/sam/{binary}.cdx.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bom, indent=1) + "\n")
        print(f"{file.relative_to(ROOT)} lists {len(bom['components'])} crates.")


def crates_of(binary, target):
    """Yields the name, version, and license of the binary and of each crate in it."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--package", binary, "--edges", "normal", "--target", target, "--prefix", "none",
         "--no-dedupe", "--format", "{p}|{l}"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for line in tree.splitlines():
        package, license = line.split("|")
        name, version = package.split()[:2]
        yield name, version.removeprefix("v"), license.replace("/", " OR ").replace("  ", " ")


def component(name, version, license, checksums):
    entry = {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}",
             "licenses": [{"expression": license}]}
    if checksums[name, version]:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return entry


if __name__ == "__main__":
    main(*sys.argv[1:])
