"""How good a scene is: metrics, ground truth, benchmark protocols, reports."""

from splatseg.evaluation.click_scores import (
    THRESHOLD,
    THRESHOLDS,
    Case,
    ClickScore,
    ObjectScore,
    Predict,
    Prediction,
    score_clicks,
    worst_cases,
)
from splatseg.evaluation.clicks import (
    CLICKS_PER_OBJECT_RANDOM,
    Query,
    click3_queries,
    click_queries,
    random_queries,
)
from splatseg.evaluation.metrics import (
    MaskScores,
    Match,
    boundary,
    boundary_iou,
    boundary_width,
    hungarian_iou,
    iou,
    psnr,
)
from splatseg.evaluation.panoptic import (
    PanopticScore,
    TubeScore,
    score_clusters,
    score_objects,
)
from splatseg.evaluation.photos import FrameScore, score_nvs
from splatseg.evaluation.prompt_truth import PromptTruth, open_3d_ovs, open_lerf_mask
from splatseg.evaluation.protocols import Protocol, versioned
from splatseg.evaluation.reports import (
    clicks_report,
    clusters_report,
    nvs_report,
    objects_report,
    prompts_report,
    selections_report,
)
from splatseg.evaluation.selection import LiftedTruth, SelectionScore, score_selections
from splatseg.evaluation.text import PromptScore, score_prompts
from splatseg.evaluation.truth import MIN_TRUTH_PIXELS, Truth, load_truth

__all__ = [
    "CLICKS_PER_OBJECT_RANDOM",
    "MIN_TRUTH_PIXELS",
    "THRESHOLD",
    "THRESHOLDS",
    "Case",
    "ClickScore",
    "FrameScore",
    "LiftedTruth",
    "MaskScores",
    "Match",
    "ObjectScore",
    "PanopticScore",
    "Predict",
    "Prediction",
    "PromptScore",
    "PromptTruth",
    "Protocol",
    "Query",
    "SelectionScore",
    "Truth",
    "TubeScore",
    "boundary",
    "boundary_iou",
    "boundary_width",
    "click3_queries",
    "click_queries",
    "clicks_report",
    "clusters_report",
    "hungarian_iou",
    "iou",
    "load_truth",
    "nvs_report",
    "objects_report",
    "open_3d_ovs",
    "open_lerf_mask",
    "prompts_report",
    "psnr",
    "random_queries",
    "score_clicks",
    "score_clusters",
    "score_nvs",
    "score_objects",
    "score_prompts",
    "score_selections",
    "selections_report",
    "versioned",
    "worst_cases",
]
