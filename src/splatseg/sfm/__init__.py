"""Poses for photos and videos that have none, by structure from motion (pycolmap)."""
