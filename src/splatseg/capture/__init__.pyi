from .capture import Capture as Capture
from .capture import load_capture as load_capture
from .frame import Frame as Frame
from .lens import Lens as Lens
