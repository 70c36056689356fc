"""Rendered photos against known ones."""

import pytest
import torch

from splatseg.errors import SplatsegError
from splatseg.evaluation import score_nvs


def test_nvs_clips_colors():
    photo = torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(0)).round()
    [same, gray] = score_nvs([("a", 3 * photo - 1, photo), ("b", photo / 2 + 0.25, photo)])
    assert same.psnr == float("inf") and same.ssim == pytest.approx(1)
    assert gray.psnr == pytest.approx(12.0412, abs=1e-4) and gray.ssim < 1


def test_nvs_without_photos_is_refused():
    with pytest.raises(SplatsegError, match="holds out no photo"):
        score_nvs([])
