"""The terms of the total loss, Eq. 5 of arXiv:2404.12784: one entry each."""

from splatseg.losses.contrastive import contrastive_term
from splatseg.losses.photometric import photometric_term
from splatseg.losses.spatial import spatial_term
from splatseg.losses.term import LossTerm
from splatseg.training.config import TrainConfig


def loss_terms(config: TrainConfig) -> tuple[LossTerm, ...]:
    """The terms of a run: of the appearance, and of the features if `config` contrasts them."""
    appearance = photometric_term(config.appearance.ssim_weight)
    return (appearance, *feature_terms(config)) if config.contrasts else (appearance,)


def feature_terms(config: TrainConfig) -> tuple[LossTerm, ...]:
    """The terms that train features: Eq. 3 and Eq. 4."""
    contrastive, spatial = config.contrastive, config.spatial
    return (
        contrastive_term(
            weight=contrastive.weight,
            interval=contrastive.interval,
            temperature=contrastive.temperature,
            min_pixels=contrastive.min_pixels,
            to_geometry=contrastive.to_geometry,
            to_density=contrastive.to_density,
        ),
        spatial_term(
            near_weight=spatial.near_weight,
            far_weight=spatial.far_weight,
            interval=spatial.interval,
            anchors=spatial.anchors,
        ),
    )
