"""Training views: the order of frames, photos as tensors, label maps at working size."""

import json
import shutil
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


def test_every_epoch_shows_every_training_frame_once(synthetic) -> None:
    views = views_of(synthetic.root)
    count = len(synthetic.train_frames)
    epochs = [[views.frame_at(e * count + i).name for i in range(count)] for e in range(6)]
    assert all(sorted(epoch) == sorted(synthetic.train_frames) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1  # in another order


def test_the_order_depends_on_the_seed_and_the_step_alone(synthetic) -> None:
    steps = range(3 * len(synthetic.train_frames))
    forwards = [views_of(synthetic.root).frame_at(step).name for step in steps]
    views = views_of(synthetic.root)
    backwards = [views.frame_at(step).name for step in reversed(steps)]
    assert forwards == backwards[::-1]
    assert forwards != [views_of(synthetic.root, seed=1).frame_at(step).name for step in steps]


@pytest.mark.parametrize("downscale", [1, 3])
def test_a_photo_is_rgb_in_0_to_1(synthetic, downscale: int) -> None:
    views = views_of(synthetic.root, downscale=downscale)
    frame = views.frame_at(0)
    photo = views.photo(frame)
    assert photo.shape == (72 // downscale, 96 // downscale, 3)
    assert photo.dtype == torch.float32
    expected = views.capture.image(frame).astype(np.float32) / 255
    assert np.array_equal(photo.numpy(), expected)
    photo.zero_()  # a copy: the next epoch reads the photo again
    assert np.array_equal(views.photo(frame).numpy(), expected)


def test_labels_are_the_flattened_masks(synthetic) -> None:
    for order in ("smallest_on_top", "largest_on_top"):
        views = views_of(synthetic.root, flattening=order)
        for frame in views.capture.train:
            segments = read_segments(synthetic.root / "masks" / "noisy" / f"{frame.name}.json")
            labels = views.labels(frame)
            assert labels is not None
            assert np.array_equal(labels.numpy(), segments.label_map(order))
            assert labels.min() == 0 and labels.max() > 0
            assert views.labels(frame) is not labels  # kept in fewer bytes, and not shared
            assert torch.equal(views.labels(frame), labels)  # type: ignore[arg-type]


def test_labels_come_at_working_size(synthetic) -> None:
    views = views_of(synthetic.root, downscale=2)
    frame = views.frame_at(0)
    at_full_size = views_of(synthetic.root, downscale=1)
    full = at_full_size.labels(at_full_size.frame_at(0))
    labels = views.labels(frame)
    assert labels is not None and full is not None
    assert labels.shape == (36, 48)
    assert torch.equal(labels, full[1::2, 1::2])  # the nearest pixel's, never a blend


def test_masks_made_at_another_scale_fit(synthetic, tmp_path, capture_copy) -> None:
    folder = capture_copy / "masks" / "noisy"
    label_map = np.zeros((36, 48), dtype=np.uint16)
    label_map[10:20, 5:25] = 40_000
    for path in folder.iterdir():
        path.unlink()
    frame = views_of(synthetic.root).frame_at(0)
    write_label_map(folder / f"{frame.name}.png", label_map)
    labels = views_of(capture_copy).labels(frame)
    assert labels is not None and labels.shape == (72, 96)
    expected = np.zeros((72, 96), dtype=int)
    expected[20:40, 10:50] = 1
    assert np.array_equal(labels.numpy(), expected)


def test_masks_of_another_shape_are_refused(capture_copy) -> None:
    frame = views_of(capture_copy).frame_at(0)
    folder = capture_copy / "masks" / "noisy"
    (folder / f"{frame.name}.json").unlink()
    Image.fromarray(np.zeros((72, 72), dtype=np.uint8)).save(folder / f"{frame.name}.png")
    with pytest.raises(SplatsegError, match=rf"{frame.name}\.png is 72x72 but its photo is 96x72"):
        views_of(capture_copy)


def test_masks_that_tell_their_shape_late_are_refused_when_they_are_drawn(capture_copy) -> None:
    frame = views_of(capture_copy).frame_at(0)
    content = {"annotations": [], "image": {"file_name": "a.jpg", "width": 72, "height": 72}}
    path = capture_copy / "masks" / "noisy" / f"{frame.name}.json"
    path.write_text(json.dumps(content))
    views = views_of(capture_copy)
    with pytest.raises(SplatsegError, match=rf"{frame.name}\.json is 72x72 but its photo is 96x72"):
        views.labels(frame)


def test_masks_of_test_frames_do_not_matter(capture_copy) -> None:
    frame = views_of(capture_copy).capture.test[0]
    folder = capture_copy / "masks" / "noisy"
    (folder / f"{frame.name}.json").unlink()
    Image.fromarray(np.zeros((72, 72), dtype=np.uint8)).save(folder / f"{frame.name}.png")
    views_of(capture_copy)


def test_memory_for_labels_is_bounded_and_what_it_lacks_is_made_again(synthetic) -> None:
    generous, frugal = views_of(synthetic.root), views_of(synthetic.root)
    frugal._labels.max_bytes = 1
    for step in range(2 * len(synthetic.train_frames)):
        frame = generous.frame_at(step)
        expected = generous.labels(frame)
        assert expected is not None and torch.equal(frugal.labels(frame), expected)  # type: ignore[arg-type]
        assert frugal._labels.bytes == expected.numel()  # one map, of one byte a pixel


@pytest.mark.parametrize(("count", "bytes_each"), [(255, 1), (256, 2)])
def test_label_maps_take_two_bytes_a_pixel_only_where_they_must(
    capture_copy, count: int, bytes_each: int
) -> None:
    frame = views_of(capture_copy).frame_at(0)
    folder = capture_copy / "masks" / "noisy"
    label_map = np.arange(72 * 96, dtype=np.uint16).reshape(72, 96) % (count + 1)
    (folder / f"{frame.name}.json").unlink()
    write_label_map(folder / f"{frame.name}.png", label_map)
    views = views_of(capture_copy)
    assert np.array_equal(views.labels(frame).numpy(), label_map)  # type: ignore[union-attr]
    assert views._labels.bytes == bytes_each * label_map.size


def test_frames_without_a_mask_file_have_no_labels(capture_copy) -> None:
    frame = views_of(capture_copy).frame_at(0)
    (capture_copy / "masks" / "noisy" / f"{frame.name}.json").unlink()
    views = views_of(capture_copy)
    assert views.labels(frame) is None
    assert views.labels(frame) is None
    assert views.labels(views.frame_at(1)) is not None
    assert views_of(capture_copy, masks=False).labels(frame) is None


def test_a_segmented_view_tells_which_masks_hold_a_pixel(synthetic) -> None:
    views = views_of(synthetic.root)
    frame = views.capture.train[0]
    masks = views.masks.segments(frame.name, (frame.lens.width, frame.lens.height)).masks()

    view = views.segmented(frame, max_masks=len(masks))

    assert view.segments == len(masks)
    assert all((view.mask(k).numpy() == mask).all() for k, mask in enumerate(masks))
    assert view.pixels().tolist() == [mask.sum() for mask in masks]


def test_a_frame_without_a_mask_file_has_no_segmented_view(capture_copy) -> None:
    frame = views_of(capture_copy).frame_at(0)
    (capture_copy / "masks" / "noisy" / f"{frame.name}.json").unlink()
    assert not views_of(capture_copy).has_masks(frame)


def test_of_too_many_masks_the_best_are_kept_and_unknown_quality_is_the_best(
    synthetic, tmp_path
) -> None:
    root = tmp_path / "capture"
    shutil.copytree(synthetic.root, root)
    frame = load_capture(root).train[0]
    squares = np.zeros((3, frame.lens.height, frame.lens.width), dtype=bool)
    for index, square in enumerate(squares):
        square[4:20, 4 + 20 * index : 20 + 20 * index] = True
    (path,) = (root / "masks").rglob(f"{frame.name}.*")
    path.unlink()
    segments = Segments.from_masks(squares, predicted_iou=np.array([0.95, 0.5, np.nan]))
    write_segments(path.with_suffix(".json"), segments, Path(frame.photo).name)

    view = views_of(root).segmented(frame, max_masks=2)

    assert view.segments == 2
    assert (view.mask(0).numpy() == squares[0]).all()
    assert (view.mask(1).numpy() == squares[2]).all()
