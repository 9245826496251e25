"""Names that every part of the desk uses."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Stop(Exception):
    """The desk cannot continue. The message is for the developer."""
