"""Benchmark protocols: what is asked of a scene, and how the answers are scored.

A protocol is known by its name and version, e.g. `click/1`; one that changes gets a new version,
so that numbers under one name compare. Protocols know masks, photos and labels, not renderers:
whoever answers passes a function. What is asked uses training views, what is scored uses test
views, and the capture decides which are which.

`nvs/1`           PSNR and SSIM of the rendered test photos, colors clipped to [0, 1] first; means
                  over photos. photos.py
`click/1`         One click per object: the pixel deepest inside its true mask (Euclidean distance
                  to the outside, where the image border is outside; the first such pixel in
                  reading order), in the training view where the mask has most pixels (the first
                  such view). clicks.py, click_scores.py
`click3/1`        The three clicks per object that `prompts.json` lists; the mean over them, and the
                  one with the lowest mIoU as the worst.
`random-click/1`  `CLICKS_PER_OBJECT_RANDOM` clicks per object, mean and worst as in click3. Each
                  draws a training view, uniformly among those that show at least
                  `MIN_TRUTH_PIXELS` of the object, by name; then one of the mask's pixels,
                  uniformly, in reading order. numpy's default generator, seeded by the object's id
                  alone, so that another object changes none of them.
`click3d/1`       Which Gaussians each click of `click` selects, against the truth lifted onto the
                  same Gaussians. selection.py
`ceiling/1`       What votes can reach: the truth lifted as for `click3d`, rendered in the test
                  views (the label with most blending weight), scored as `click` is. It asks for
                  no features: a figure of the geometry, beside which those of `click` are read.
`clusters/1`      No prompt: one label map per test view. Labels and objects are matched one to one,
                  with the largest sum of IoUs over all test views at once; an object without a
                  label scores 0. The mean over the objects that a test view shows. panoptic.py
`objects/1`       The same label maps, and what is wrong with them: panoptic quality, objects cut
                  into several labels, labels that join objects. panoptic.py
`text/2`          A mask per prompt, LERF-Mask's files (`test_mask/<view>/<prompt>.png`).
`3d-ovs/2`        A mask per class, 3D-OVS's files (`segmentations/<frame>/<class>.png`).
                  prompt_truth.py, text.py

**click, click3, random-click** ask for the object's mask in every test view whose truth shows at
least `MIN_TRUTH_PIXELS` of it: cosine similarity to the click's query, at the truth's size, -1
where alpha < 0.5. The report's `query_radius` says which pixels around the click make up the query.
A similarity of `THRESHOLD` or more is inside. Each mask is scored by IoU (`miou`), Boundary IoU at
2 % of the image diagonal (`mbiou`) and at 2 pixels (`biou2`); no answer scores 0. Means are over
views, then over an object's clicks, then over objects. `best` is a diagnosis and no result: the
same at the threshold of `THRESHOLDS` that suits the object best, judged by its mIoU against the
truth (the lowest such threshold).

**click3d.** Every training view with truth splats its instance map by blending weight, the
background too; a Gaussian's true label is the id with most votes, the lowest of equals. One that no
such view sees has none and counts in nothing. A Gaussian weighs its opacity times pi times the
product of its two largest scales. `miou`: weight that selection and object share over the weight of
either. `outside`: the share of the selected weight whose center lies outside the object's box, the
smallest one along the world's axes that holds its points in `points_gt.npz` (outliers left out),
grown by `BOX_MARGIN` on each side; null, and left out of the mean, where the file has no point of
the object. A click that selects nothing scores 0 in both. Means are over objects.

**objects.** All counts are of pixels in all test views at once. `miou` is that of `clusters`.
An object and a label are a true positive where their IoU is above 0.5, which holds for at most one
label of an object and one object of a label. Other objects are false negatives, other labels false
positives, but for those with most of their pixels on void: they are `ignored`. Void is what
`gt_stuff` names (> 0) and no object covers; without that file, all that no object covers. An IoU
counts void pixels like any others. `sq` is the mean IoU of the true positives (0 without any), `rq`
is tp / (tp + fp/2 + fn/2), `pq` their product. `over_segmented` counts objects of at least two
`parts`; a part is a label with more than half of its pixels in the object that holds at least a
tenth of it. `under_segmented` counts labels that hold at least half of each of two objects or more.

**text, 3d-ovs.** Each prompt is grounded once, by a box or a mask in the reference view, the first
view that the truth has a folder of, as it is rendered; the object found there is asked for in every
view that has a true mask of the prompt. A prediction is resized to the truth's size by nearest
pixel; truth above 128 is inside. Scores are those of the clicks, a missing prediction scores 0;
means are over views, then over prompts. The reference view is scored like any other, by the mask
that is predicted there and not by the one that was given, as LERF-Mask's authors do: some prompts
show in no other view. `other_views` has the figures without it, over the prompts that other views
show. `text` has all three figures, `3d-ovs` `miou`.

Pixel coordinates of a click are those of the photo as shipped; (0.5, 0.5) is a pixel's center.
Sizes are (width, height).
"""

from typing import Literal, get_args

ClickProtocol = Literal["click", "click3", "random-click"]
"""A mask in each test view, from a click."""

LabelProtocol = Literal["clusters", "objects"]
"""All objects of the scene, from no prompt."""

PromptProtocol = Literal["text", "3d-ovs"]
"""A mask in each view that has truth, from a prompt that is grounded in one of them."""

Protocol = Literal["nvs", ClickProtocol, "click3d", "ceiling", LabelProtocol, PromptProtocol]

VERSIONS: dict[str, int] = dict.fromkeys(get_args(Protocol), 1) | {"text": 2, "3d-ovs": 2}


def versioned(protocol: Protocol) -> str:
    """The name that figures are known by, e.g. `click/1`."""
    return f"{protocol}/{VERSIONS[protocol]}"
