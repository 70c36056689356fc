import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from splatseg.masks import Segments
from splatseg.masks.regions import cut_into_regions


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 5).flatmap(
        lambda n: hnp.arrays(bool, st.tuples(st.just(n), st.integers(1, 7), st.integers(1, 9)))
    )
)
def test_a_pixel_lies_in_the_segments_of_its_region(masks):
    cut = cut_into_regions(Segments.from_masks(masks))

    assert (cut.membership[cut.map] == masks.transpose(1, 2, 0)).all()


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(bool, st.tuples(st.just(4), st.integers(1, 6), st.integers(1, 6))))
def test_regions_differ_in_their_segments_and_the_first_lies_in_none(masks):
    cut = cut_into_regions(Segments.from_masks(masks))

    rows = {tuple(row) for row in cut.membership}
    assert len(rows) == len(cut.membership)
    assert not cut.membership[0].any()
    present = set(np.unique(cut.map).tolist())
    assert present | {0} == set(range(len(cut.membership)))
