"""Curves as pictures: files, animations, terminal."""
