"""Every picture that is made: for people, uint8 RGB arrays, H W 3."""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
