"""Regions against the masks that they were cut from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from splatseg.masks import Segments
from splatseg.masks.regions import cut_into_regions


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.tuples(*(st.integers(low, high) for low, high in ((0, 5), (1, 7), (1, 9)))).flatmap(
        lambda shape: arrays(bool, shape)
    )
)
def test_a_pixel_lies_in_the_segments_of_its_region_and_no_region_is_like_another(masks):
    cut = cut_into_regions(Segments.from_masks(masks))
    assert (cut.membership[cut.map] == masks.transpose(1, 2, 0)).all()
    assert len(np.unique(cut.membership, axis=0)) == len(cut.membership)
    assert not cut.membership[0].any()
    assert {0, *cut.map.ravel().tolist()} == set(range(len(cut.membership)))
