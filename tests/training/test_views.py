"""Training views: the order of frames, photos as tensors, label maps at working size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from splatseg.capture import load_capture
from splatseg.errors import SplatsegError
from splatseg.masks import Segments, open_masks, read_segments, write_label_map, write_segments
from splatseg.training.config import ContrastiveConfig
from splatseg.training.views import TrainingViews


def views_of(root, *, masks: bool = True, downscale: int | None = None, seed: int = 0, **options):
    capture = load_capture(root, downscale=downscale)
    opened = open_masks(root, None, [f.name for f in capture.frames]) if masks else None
    return TrainingViews(capture, opened, ContrastiveConfig(**options), seed)


def mask_file(root: Path, name: str) -> Path:
    return root / "masks" / "noisy" / f"{name}.json"


def test_epochs_show_every_training_frame_in_an_order_of_seed_and_step(synthetic) -> None:
    count = len(synthetic.train_frames)
    views, again, other = (views_of(synthetic.root, seed=seed) for seed in (0, 0, 1))
    forwards = [views.frame_at(step).name for step in range(6 * count)]
    epochs = [forwards[e * count : (e + 1) * count] for e in range(6)]
    assert all(sorted(epoch) == sorted(synthetic.train_frames) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1
    assert forwards == [again.frame_at(step).name for step in reversed(range(6 * count))][::-1]
    assert forwards != [other.frame_at(step).name for step in range(6 * count)]


@pytest.mark.parametrize("downscale", [1, 3])
def test_a_photo_is_rgb_in_0_to_1(synthetic, downscale: int) -> None:
    views = views_of(synthetic.root, downscale=downscale)
    frame = views.frame_at(0)
    photo, expected = views.photo(frame), views.capture.image(frame).astype(np.float32) / 255
    assert photo.shape == (72 // downscale, 96 // downscale, 3) and photo.dtype == torch.float32
    assert np.array_equal(photo.numpy(), expected)
    photo.zero_()  # a copy: the next epoch reads the photo again
    assert np.array_equal(views.photo(frame).numpy(), expected)


@pytest.mark.parametrize("order", ["smallest_on_top", "largest_on_top"])
def test_labels_are_the_flattened_masks(synthetic, order: str) -> None:
    """Also without memory for them, and at working size: the nearest pixel's, never a blend."""
    views, frugal = (views_of(synthetic.root, flattening=order) for _ in range(2))
    half = views_of(synthetic.root, flattening=order, downscale=2)
    frugal._labels.max_bytes = 1
    for frame, small in zip(views.capture.train, half.capture.train, strict=True):
        expected = read_segments(mask_file(synthetic.root, frame.name)).label_map(order)
        for _ in range(2):
            labels, made_again = views.labels(frame), frugal.labels(frame)
            assert np.array_equal(labels.numpy(), expected) and labels.max() > 0
            assert torch.equal(made_again, labels)
            assert frugal._labels.bytes == labels.numel()  # one map, of one byte a pixel
            labels.zero_()  # not shared
        assert np.array_equal(half.labels(small).numpy(), expected[1::2, 1::2])


def test_masks_of_another_shape_are_refused(capture_copy: Path) -> None:
    """PNG files at once, JSON files, which tell their shape late, when they are drawn."""
    capture = load_capture(capture_copy)
    frame, held_out = capture.train[0], capture.test[0]
    for name in (held_out.name, frame.name):
        views_of(capture_copy)
        path = mask_file(capture_copy, name)
        content = {"annotations": [], "image": {"file_name": "a.jpg", "width": 72, "height": 72}}
        path.write_text(json.dumps(content))
    views = views_of(capture_copy)
    with pytest.raises(SplatsegError, match=rf"{frame.name}\.json is 72x72 but its photo is 96x72"):
        views.labels(frame)
    path.unlink()
    Image.fromarray(np.zeros((72, 72), dtype=np.uint8)).save(path.with_suffix(".png"))
    with pytest.raises(SplatsegError, match=rf"{frame.name}\.png is 72x72 but its photo is 96x72"):
        views_of(capture_copy)


@pytest.mark.parametrize(("count", "scale", "bytes_each"), [(255, 1, 1), (256, 1, 2), (255, 2, 1)])
def test_label_maps_of_another_scale_fit_and_take_two_bytes_a_pixel_only_where_they_must(
    capture_copy: Path, count: int, scale: int, bytes_each: int
) -> None:
    frame = load_capture(capture_copy).train[0]
    shape = 72 // scale, 96 // scale
    label_map = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape) % (count + 1)
    path = mask_file(capture_copy, frame.name)
    path.unlink()
    write_label_map(path.with_suffix(".png"), label_map)
    views = views_of(capture_copy)
    expected = label_map.repeat(scale, axis=0).repeat(scale, axis=1)
    assert np.array_equal(views.labels(frame).numpy(), expected)
    assert views._labels.bytes == bytes_each * 72 * 96


def test_frames_without_a_mask_file_have_no_labels(capture_copy: Path) -> None:
    frame, other = load_capture(capture_copy).train[:2]
    mask_file(capture_copy, frame.name).unlink()
    views = views_of(capture_copy)
    assert views.labels(frame) is views.labels(frame) is None
    assert views.labels(other) is not None
    assert views.has_masks(other) and not views.has_masks(frame)
    assert views_of(capture_copy, masks=False).labels(frame) is None


def test_a_segmented_view_tells_which_masks_hold_a_pixel(synthetic) -> None:
    views = views_of(synthetic.root)
    frame = views.capture.train[0]
    masks = views.masks.segments(frame.name, (frame.lens.width, frame.lens.height)).masks()
    view = views.segmented(frame, max_masks=len(masks))
    assert np.array_equal([view.mask(k).numpy() for k in range(view.segments)], masks)
    assert view.pixels().tolist() == [mask.sum() for mask in masks]


def test_of_too_many_masks_the_best_are_kept_and_unknown_quality_is_the_best(capture_copy) -> None:
    frame = load_capture(capture_copy).train[0]
    squares = np.zeros((3, frame.lens.height, frame.lens.width), dtype=bool)
    for index, square in enumerate(squares):
        square[4:20, 4 + 20 * index : 20 + 20 * index] = True
    segments = Segments.from_masks(squares, predicted_iou=np.array([0.95, 0.5, np.nan]))
    write_segments(mask_file(capture_copy, frame.name), segments, Path(frame.photo).name)
    view = views_of(capture_copy).segmented(frame, max_masks=2)
    assert np.array_equal([view.mask(k).numpy() for k in range(view.segments)], squares[[0, 2]])
