"""What every part of the desk needs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Stop(Exception):
    """The desk cannot go on. The message is for the person who sits at it."""
