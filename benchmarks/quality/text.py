"""The text route on tabletop captures laid out as LERF-Mask, with boxes from the truth.

    python benchmarks/quality/text.py CAPTURE SCENE WORK [--sam MODEL]
    python benchmarks/quality/text.py --table          the records as a Markdown table

No detector's weights are needed: of every object that the reference view shows, the box around its
true mask there stands for what a detector would find, and objects.json has the prompts. So this
measures all of the route but the detector. Beside it is `click`, over the same objects. Objects of
one name are one prompt that means both, so they are left out, as are those that the reference view
hides: no data set asks for what a view does not show.
"""

import argparse
import json
from datetime import date
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image
from pipeline import RECORDS, git

from splatseg.evaluation.truth import MIN_TRUTH_PIXELS
from splatseg.masks import read_label_map
from splatseg.scene import load_scene
from splatseg.workflows.evaluation import evaluate_scene
from splatseg.workflows.grounding import GroundingOptions

TABLE = RECORDS / "text"


def lay_out(capture: Path, scene: Path, work: Path) -> tuple[list[int], Path, Path]:
    """The objects asked for, the folder of true masks, and the box file."""
    test = [frame.name for frame in load_scene(scene).test]
    listed = json.loads((capture / "objects.json").read_text())["instances"]
    names = {row["id"]: row["name"] for row in listed}
    maps = {name: read_label_map(capture / "gt_instances" / f"{name}.png") for name in test}
    unique = [key for key, name in names.items() if list(names.values()).count(name) == 1]
    asked = [key for key in unique if (maps[test[0]] == key).sum() >= MIN_TRUTH_PIXELS]
    boxes = []
    for key in asked:
        rows, columns = np.nonzero(maps[test[0]] == key)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        boxes.append({"prompt": names[key], "box": [int(edge) for edge in box]})
        for number, name in enumerate(test):
            mask = maps[name] == key
            folder = work / "test_mask" / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            if mask.sum() >= MIN_TRUTH_PIXELS:
                Image.fromarray(mask).save(folder / f"{names[key]}.png")
    (work / "boxes.json").write_text(json.dumps({test[0]: boxes}))
    return asked, work / "test_mask", work / "boxes.json"


def measure(options: argparse.Namespace) -> Path:
    """Ask in words and by clicks; the record's path."""
    name, scene = options.capture.resolve().name, options.scene
    asked, truth, boxes = lay_out(options.capture, scene, options.work / f"text-{name}")
    finding = GroundingOptions(boxes=boxes, sam=options.sam)
    capture = options.capture
    text = evaluate_scene(scene, capture, protocol="text", truth=truth, finding=finding).report
    clicks = evaluate_scene(scene, capture, protocol="click").report
    data = {
        "scene": f"tabletop-{name}",
        "model": scene.resolve().name,
        "commit": git("rev-parse", "--short", "HEAD"),
        "date": date.today().isoformat(),
        "objects": len(asked),
        "segmenter": Path(options.sam).name if options.sam else None,
        "click": fmean(row["miou"] for row in clicks["objects"] if row["id"] in asked),
        "text": text,
    }
    TABLE.mkdir(parents=True, exist_ok=True)
    way = "sam" if options.sam else "box"
    path = TABLE / f"{name}-{scene.resolve().name}-{way}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path


def table() -> str:
    """A row for each record."""
    rows = [
        "| scene | from the box | prompts | text | without the reference | click |",
        "|" + "---|" * 6,
    ]
    for path in sorted(TABLE.glob("*.json")):
        data = json.loads(path.read_text())
        way = f"mask by {data['segmenter']}" if data["segmenter"] else "the thing that fills it"
        text = data["text"]
        figures = (text["miou"], text["other_views"]["miou"], data["click"])
        cells = [data["model"], way, str(data["objects"]), *(f"{one:.3f}" for one in figures)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path, nargs="?")
    parser.add_argument("scene", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--sam", help="model that draws the mask in a box")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table())
    elif options.work:
        print(measure(options))
    else:
        parser.error("give CAPTURE, SCENE and WORK, or --table")


if __name__ == "__main__":
    main()
