"""What the 2D masks tell: the segments of one view, their files, a capture's sets of them."""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
