"""From a text prompt to masks in one image (section 4.2.2 of arXiv:2404.12784).

A detector finds boxes for the words, a segmenter of the SAM family the mask in a box. Boxes and
masks made elsewhere can take the place of either.
"""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
