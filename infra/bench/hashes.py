"""Times argon2id in the libraries that most programs use.

    hashes.py PASSWORD SALT MEMORY_KIB PASSES

Each line of input names a library. This script computes one hash with it, and prints the nanoseconds.
"""

import sys
import time

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from nacl.bindings import crypto_pwhash_ALG_ARGON2ID13, crypto_pwhash_alg

password, salt = (each.encode() for each in sys.argv[1:3])
memory_kib, passes = map(int, sys.argv[3:])


def libsodium() -> bytes:
    return crypto_pwhash_alg(32, password, salt, passes, memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13)


def libargon2() -> bytes:
    return hash_secret_raw(password, salt, passes, memory_kib, 1, 32, Type.ID)


def openssl() -> bytes:
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib).derive(password)


if not libsodium() == libargon2() == openssl():
    sys.exit("The libraries compute different hashes.")
for line in sys.stdin:
    hash_it = {"libsodium": libsodium, "libargon2": libargon2, "openssl": openssl}[line.strip()]
    started = time.perf_counter_ns()
    hash_it()
    print(time.perf_counter_ns() - started, flush=True)
