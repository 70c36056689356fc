"""From the 2D masks of many views to features on a scene whose geometry is done (ours).

    incidence    which Gaussians lie in which mask
    tracks       masks of different views that show the same thing
    attachment   what rests on another thing, and what is a part of it: from the geometry between
    hierarchy    tracks that are objects, and every Gaussian's object
    targets      per view, a label map in which masks and consensus agree
    features     one prototype an object, and features that render to it

The paper's loss sees one view at a time, whose masks err in the same places again and again. Here
the views are heard together first: a mask that joins two things, or that shows half of one, is
outvoted. What is left to learn is a feature field under labels that agree, which takes seconds.
"""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
