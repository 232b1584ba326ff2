"""Faces to tables and pictures: whatever the user points at, streamed through a trained run."""
