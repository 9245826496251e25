"""The kinds of users that a desk can have: USERS=table, postgresql, or cognito.

Each kind is a module with a class `Users`:

- `start(endpoint, state, running, check_running, profile)` starts what the kind needs, deploys its directory, and
  returns the values of Rekey's parameters. `running` is an ExitStack that ends with the desk.
- `seed(email, password)` stores one user, after Rekey's deployment.
- `address()` returns variables for the tests and the demo. USERS_KIND is one of them.
- `check_running()` raises Stop if something that it started has ended.
- `note(address)`, a static method, returns more lines for `make dev` to print, or nothing.
- `accepts(address, email, password)`, a static method, returns whether a password is the user's, or None
  if only other libraries can verify it. The demo calls it in
  another process, with the variables of `target/dev.env`.
"""

import importlib
import os

from stop import Stop

KINDS = {"table": "users_table", "postgresql": "postgresql", "cognito": "cognito"}


def chosen():
    """Returns the class of the kind that USERS names."""
    return kind(os.environ.get("USERS") or "table")


def kind(name):
    if name not in KINDS:
        raise Stop(f"USERS: expected one of {', '.join(KINDS)}, got {name!r}.")
    return importlib.import_module(KINDS[name]).Users
