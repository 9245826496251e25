"""Verifies password hashes with the libraries that logins use, for `make peers`.

    verify.py < hashes.jsonl

Each line of input has a format, a hash, and a password. This script prints a line for each library that reads the format:
its name, and true or false. PHP verifies in verify.php.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import argon2
import bcrypt
from django.conf import settings
from django.contrib.auth.hashers import check_password, identify_hasher

ARGON2_CFFI, BCRYPT, DJANGO = (
    f"{name} {version(package)}"
    for name, package in [("argon2-cffi", "argon2-cffi"), ("Python's bcrypt", "bcrypt"), ("Django", "django")])
PHP = ["php", str(Path(__file__).with_name("verify.php"))]

settings.configure(PASSWORD_HASHERS=[
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
])


def argon2_cffi(hash, password):
    try:
        return argon2.PasswordHasher().verify(hash, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def python_bcrypt(hash, password):
    # It rejects a password of more than 72 bytes with an error.
    return bcrypt.checkpw(password.encode(), hash.encode())


def django_hasher(hash, password):
    identify_hasher(hash)
    return check_password(password, hash)


def asp_net_layout(hash, password):
    """VerifyHashedPasswordV3 of dotnet/aspnetcore, src/Identity/Extensions.Core/src/PasswordHasher.cs, in Python."""
    layout = base64.b64decode(hash, validate=True)
    version, (prf, iterations, salt_length) = layout[0], (
        int.from_bytes(layout[at:at + 4], "big") for at in (1, 5, 9))
    salt, key = layout[13:13 + salt_length], layout[13 + salt_length:]
    # The shortest salt and key that it accepts. It knows three functions, from 0 to 2.
    if version != 1 or salt_length < 128 // 8 or len(key) < 128 // 8:
        raise ValueError("not a hash of version 3")
    digest = ["sha1", "sha256", "sha512"][prf]
    return hmac.compare_digest(key, hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations, len(key)))


def php(hash, password):
    """password_verify, and password_get_info, whose answer decides whether Laravel tries a hash at all."""
    answer = subprocess.run(PHP, input=json.dumps([hash, password]), text=True, capture_output=True, check=True)
    return json.loads(answer.stdout)


LIBRARIES = {
    "argon2id": {ARGON2_CFFI: argon2_cffi, "PHP": php},
    "argon2id-django": {DJANGO: django_hasher},
    "bcrypt-2b": {BCRYPT: python_bcrypt},
    "bcrypt-2y": {"PHP": php, BCRYPT: python_bcrypt},
    "pbkdf2-django": {DJANGO: django_hasher},
    "pbkdf2-aspnet": {"ASP.NET Core Identity's layout": asp_net_layout},
}

for line in sys.stdin:
    given = json.loads(line)
    verdicts = {name: verify(given["hash"], given["password"]) for name, verify in LIBRARIES[given["format"]].items()}
    print(json.dumps(verdicts), flush=True)
