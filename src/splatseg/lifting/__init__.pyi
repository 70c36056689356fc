from .config import STAGES as STAGES
from .config import LiftConfig as LiftConfig
from .pipeline import Lifted as Lifted
from .pipeline import lift as lift
from .views import SegmentedView as SegmentedView
