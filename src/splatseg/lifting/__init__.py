"""From the 2D masks of many views to features on a scene whose geometry is done (ours).

    association          which Gaussians lie in which mask
    tracks               masks of different views that show the same instance
    boundary_concavity   whether an instance is a part of another: from the geometry between them
    hierarchy            tracks that are objects, and every Gaussian's object
    holes                Gaussians without an object in the middle of one
    pseudo_labels        label fusion: per view, a label map in which masks and objects agree
    features             one prototype for each object, and features that render to it

The paper's loss sees one view at a time, and the masks of a view err in the same places again and
again. Here all views are compared first: a mask that joins two objects, or that shows half of one,
is outvoted. The feature field is then trained on labels that agree, which takes seconds.
"""

import lazy_loader

# Names come with their modules when they are first used: see __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
