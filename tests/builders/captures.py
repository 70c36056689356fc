"""Tiny captures: cameras on a circle around the origin, photos of a smooth pattern."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

INTRINSICS = (50.0, 52.0, 31.0, 25.0)
SIZE = (64, 48)


class CaptureMaker:
    """Writes a capture into `root`; COLMAP models are written by pycolmap."""

    size = SIZE
    intrinsics = INTRINSICS
    xyz = np.array([[0.0, 0.1, 0.2], [-0.3, 0.0, 0.1]])
    rgb = np.array([[255, 0, 7], [1, 2, 3]], dtype=np.uint8)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = [f"{i:04}.png" for i in range(9)]

    @staticmethod
    def pattern(width: int, height: int) -> np.ndarray:
        """A smooth RGB picture, the same at every size and without symmetry."""
        x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
        waves = [np.sin(5 * x + 2 * y), np.cos(4 * y - 3 * x * x), np.sin(6 * x * y + 1)]
        return np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)

    def poses(self) -> list[np.ndarray]:
        """cam_from_world, 4 x 4: a circle of radius 2, looking at the origin, z up."""
        poses = []
        for angle in 2 * math.pi * np.arange(len(self.names)) / len(self.names):
            position = np.array([2 * math.cos(angle), 2 * math.sin(angle), 0.5])
            forward = -position / np.linalg.norm(position)
            right = np.cross(forward, [0.0, 0.0, 1.0])
            right /= np.linalg.norm(right)
            rotation = np.stack([right, np.cross(forward, right), forward])
            pose = np.eye(4)
            pose[:3] = np.column_stack([rotation, -rotation @ position])
            poses.append(pose)
        return poses

    def edit(self, name: str, frame: int, **values: Any) -> None:
        """Change one frame of a transforms file; None removes a value."""
        content = json.loads((self.root / name).read_text())
        entry = content["frames"][frame] | values
        content["frames"][frame] = {k: v for k, v in entry.items() if v is not None}
        self.json(name, content)

    def photos(self, size: tuple[int, int] = SIZE, folder: str = "images") -> None:
        for name in self.names:
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(self.pattern(*size)).save(path)

    def colmap(
        self,
        folder: str = "sparse/0",
        model: str = "PINHOLE",
        params: tuple[float, ...] = INTRINSICS,
        size: tuple[int, int] = SIZE,
        binary: bool = True,
    ) -> Path:
        """Two points, both seen by the first photo."""
        built = pycolmap.Reconstruction()
        camera = pycolmap.Camera(
            camera_id=3, model=model, width=size[0], height=size[1], params=list(params)
        )
        built.add_camera_with_trivial_rig(camera)
        for i, (name, pose) in enumerate(zip(self.names, self.poses(), strict=True)):
            image = pycolmap.Image(name=name, camera_id=3, image_id=i + 1)
            seen = [pycolmap.Point2D(np.array([1.0, 2.0]))] * (len(self.xyz) if i == 0 else 0)
            image.points2D = pycolmap.Point2DList(seen)
            built.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
        for i, (xyz, rgb) in enumerate(zip(self.xyz, self.rgb, strict=True)):
            built.add_point3D(xyz, pycolmap.Track([pycolmap.TrackElement(1, i)]), rgb)
        path = self.root / folder
        path.mkdir(parents=True)
        (built.write_binary if binary else built.write_text)(path)
        return path

    def transforms(self, name: str = "transforms.json", **values: Any) -> Path:
        """`values` replace the intrinsics beside the frames, or add to them; None removes one."""
        fx, fy, cx, cy = INTRINSICS
        shared = {"w": SIZE[0], "h": SIZE[1], "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy}
        shared = {k: v for k, v in (shared | values).items() if v is not None}
        opengl = np.diag([1.0, -1.0, -1.0, 1.0])
        frames = [
            {"file_path": f"images/{n}", "transform_matrix": (np.linalg.inv(p) @ opengl).tolist()}
            for n, p in zip(self.names, self.poses(), strict=True)
        ]
        return self.json(name, shared | {"frames": frames})

    def json(self, name: str, content: Any) -> Path:
        path = self.root / name
        path.write_text(json.dumps(content))
        return path
