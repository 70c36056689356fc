"""Losses: pure functions of tensors, and the terms of the total loss that they make."""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
