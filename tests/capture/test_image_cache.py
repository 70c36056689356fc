"""What memory keeps of images: the most recently used ones, within a limit, as they were made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatseg.capture.image_cache import OWN_PAGES_FROM, ImageCache

repeatable = settings(derandomize=True, deadline=None, max_examples=100)
SIZES = (0, 1, 7, 40)  # bytes of the image with that key


@repeatable
@given(st.lists(st.integers(0, len(SIZES) - 1)), st.integers(0, 60))
def test_the_most_recently_used_images_within_the_limit_are_kept(keys, max_bytes):
    cache, made = ImageCache(max_bytes), []
    kept: list[int] = []  # the slow twin: least recently used first
    for key in keys:
        cache.get(key, lambda key=key: made.append(key) or np.zeros(SIZES[key], np.uint8))
        expected_new = key not in kept
        kept = [k for k in kept if k != key] + [key]
        while len(kept) > 1 and sum(SIZES[k] for k in kept) > max_bytes:
            kept.pop(0)
        assert bool(made) == expected_new
        assert cache.bytes == sum(SIZES[k] for k in kept)
        made.clear()


@pytest.mark.parametrize("size", [5, OWN_PAGES_FROM // 2 - 1, OWN_PAGES_FROM // 2, OWN_PAGES_FROM])
def test_images_are_copied_as_they_are(size):
    cache = ImageCache(2**30)
    made = np.random.default_rng(0).integers(0, 2**16, (2, size, 1), np.uint16).transpose(1, 2, 0)
    original = made.copy()
    image = cache.get("a", lambda: made)
    made[:] = 0
    assert image.dtype == np.uint16 and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, original)
    assert cache.get("a", lambda: made) is image


def test_an_image_lives_on_after_it_was_dropped_and_a_single_one_is_always_kept():
    cache = ImageCache(1)
    first = cache.get("a", lambda: np.full(OWN_PAGES_FROM, 1, np.uint8))
    assert cache.get("a", lambda: np.zeros(1, np.uint8)) is first
    cache.get("b", lambda: np.full(OWN_PAGES_FROM, 2, np.uint8))
    assert cache.bytes == OWN_PAGES_FROM and (first == 1).all()
