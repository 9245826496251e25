"""Checks what compilers do not: import cycles between modules, long files, dead links, and the README's length.

Prints one line for each finding, and fails if there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CRATES = [
    "shared/src", "functions/forgot/src", "functions/reset/src", "infra/directories/cognito/src", "tests/support/src",
    "tests/fuzz_checks/src", "tests/bench/src", "tests/journeys", "tests/cloud", "tests/model", "tests/timing",
]
MAX_LINES = 400
MAX_README_LINES = 130


def main():
    files = [ROOT / name for name in git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()]
    files = [file for file in files if file.is_file()]
    findings = [
        *(finding for crate in CRATES for finding in cycles(ROOT / crate)),
        *long_files(files),
        *dead_links([file for file in files if file.suffix == ".md"]),
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, text=True, capture_output=True, check=True).stdout


# ---- Import cycles ----

def cycles(folder):
    """Yields the import cycles between the modules of a crate."""
    modules = {module_of(file, folder): file for file in folder.rglob("*.rs") if file.name not in ("lib.rs", "main.rs")}
    imports = {module: imports_of(file.read_text(), module, modules) for module, file in modules.items()}
    done, path = set(), []

    def visit(module):
        if module in path:
            yield f"{folder.relative_to(ROOT)}: import cycle: {' → '.join([*path[path.index(module):], module])}"
            return
        if module in done:
            return
        path.append(module)
        for imported in sorted(imports[module]):
            yield from visit(imported)
        path.pop()
        done.add(module)

    for module in sorted(modules):
        yield from visit(module)


def module_of(file, folder):
    return "::".join(file.relative_to(folder).with_suffix("").parts)


def imports_of(text, module, modules):
    """Returns the modules whose items a module's `use` declarations and paths name, its unit tests aside."""
    text = text.split("\n#[cfg(test)]", 1)[0]
    text = re.sub(r"//.*", "", text)
    parent = module.rpartition("::")[0]
    text = re.sub(r"\bself::", f"crate::{module}::", text)
    text = re.sub(r"\bsuper::", f"crate::{parent}::" if parent else "crate::", text)
    names = set()
    for path, group in re.findall(r"\bcrate::([\w:]*?)(?:::)?(\{[^}]*\})?(?=[^\w:{])", text):
        for item in re.findall(r"[\w:]+", group) or [""]:
            names.add("::".join(part for part in (path, item) if part))
    found = {longest_module(name, modules) for name in names}
    return found - {None, module}


def longest_module(name, modules):
    parts = name.split("::")
    prefixes = ["::".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in modules), None)


# ---- Long files ----

def long_files(files):
    for file in files:
        limit = MAX_README_LINES if file == ROOT / "README.md" else MAX_LINES if file.suffix == ".rs" else None
        lines = len(file.read_text().splitlines()) if limit else 0
        if limit and lines > limit:
            yield f"{file.relative_to(ROOT)}: {lines} lines, at most {limit}"


# ---- Dead links ----

def dead_links(pages):
    """Yields the relative links that lead to no file or to no heading."""
    for page in pages:
        text = without_code(page.read_text())
        for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|href)="([^"]+)"', text)]:
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                yield f"{page.relative_to(ROOT)}: dead link: {target}"
            elif anchor and anchor not in anchors(file):
                yield f"{page.relative_to(ROOT)}: dead link: {target}, no such heading"


def anchors(page):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(page.read_text(), inline=False), re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
        number = next(n for n in range(len(found) + 1) if (anchor if n == 0 else f"{anchor}-{n}") not in found)
        found.add(anchor if number == 0 else f"{anchor}-{number}")
    return found


def without_code(text, inline=True):
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text) if inline else text


if __name__ == "__main__":
    sys.exit(main())
