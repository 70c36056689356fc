"""A scene, or objects of it, in the files of other tools."""
