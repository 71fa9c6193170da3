"""Checks of a measured profile against itself and against physics; one file a kind of law."""
