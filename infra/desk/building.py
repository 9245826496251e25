"""Builds a template with sam build, if a source has changed."""

import fcntl
import hashlib
import platform
import sys
import tempfile
from pathlib import Path

from helpers import SAM, TARGET, environment, no_config, run, say
from stop import ROOT


TOOL_SOURCES = ("infra/desk/requirements-desk.txt", "infra/desk/requirements-sam.txt")


def build(profile="release"):
    """Builds Rekey's template if a source has changed. Returns the folder.

    "release" is the profile to deploy and to measure. `make dev` uses "dev", which compiles in a third of the time but
    makes slower code.
    """
    built = TARGET / ("sam" if profile == "release" else "sam-dev")
    sources = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "template.yaml", ".cargo", "shared", "functions",
               *TOOL_SOURCES, "infra/desk/sbom.py")
    debug = {"SAM_BUILD_MODE": "debug", "CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_PROFILE_DEV_STRIP": "true"}

    def bill_of_materials(home):
        if profile == "release":
            run("bill of materials", [sys.executable, Path(__file__).with_name("sbom.py"),
                                      f"{'aarch64' if architecture() == 'arm64' else 'x86_64'}-unknown-linux-gnu"],
                environment(home))

    return build_template("sam build (the first build compiles for minutes)", ROOT / "template.yaml", built, sources,
                          {}, debug if profile == "dev" else {}, bill_of_materials)


def build_directory(name, *more_sources, **parameters):
    """Builds a template of infra/directories if a source has changed. Returns the folder."""
    folder = f"infra/directories/{name}"
    return build_template(f"sam build of {folder}", ROOT / folder / "template.yaml", TARGET / f"sam-{name}",
                          (folder, *TOOL_SOURCES, *more_sources), parameters)


def build_template(title, template, built, sources, parameters, variables=None, finish=lambda home: None):
    parameters = {"Architecture": architecture(), **parameters}
    with open(TARGET / "sam.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another build to finish.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        built_from, digest = built / "built-from", digest_of(sources, parameters)
        if built_from.is_file() and built_from.read_text() == digest:
            return built
        with tempfile.TemporaryDirectory(prefix="desk-", dir=TARGET) as home:
            run(title, [
                SAM, "build", "--template-file", template, "--build-dir", built, "--config-file", no_config(home),
                "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())],
                {**environment(home), **(variables or {})})
            finish(home)
        built_from.write_text(digest)
        return built


def digest_of(sources, parameters):
    """Returns a digest of the sources' content, not their times: a checkout touches files that it does not change."""
    digest = hashlib.sha256(repr(sorted(parameters.items())).encode())
    for name in sources:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def architecture():
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
