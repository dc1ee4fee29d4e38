"""The version, in one place: the build, the package and every answer's headers read it here."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
