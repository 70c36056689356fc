import json

from splatseg.cli import main
from splatseg.scene import load_scene


def test_lift_takes_its_flags_and_prints_what_it_wrote(
    trained_folder, synthetic, tmp_path, capsys
) -> None:
    target = tmp_path / "lifted"
    command = ["lift", str(trained_folder), str(synthetic.root), "-o", str(target)]
    flags = ["--lift.steps", "5", "--features", "8", "--seed", "3", "--device", "cpu"]
    assert main([*command, *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scene = load_scene(target)
    assert found == {
        "scene": str(target),
        "levels": ["whole", *scene.levels],
        "seconds": scene.metrics["lifting"]["seconds"],
        "gaussians": len(scene.gaussians),
    }
    assert (scene.config["seed"], scene.config["lift"]["steps"]) == (3, 5)
    assert scene.gaussians.features.shape[1] == 8
    assert main([*command, *flags]) == 2
    assert "holds a scene already; choose another -o, or --restart" in capsys.readouterr().err
