from .contrastive import contrastive_loss as contrastive_loss
from .photometric import rendering_loss as rendering_loss
from .photometric import ssim as ssim
from .spatial import spatial_similarity as spatial_similarity
from .spatial import spatial_similarity_loss as spatial_similarity_loss
from .term import LossInputs as LossInputs
from .term import LossTerm as LossTerm
