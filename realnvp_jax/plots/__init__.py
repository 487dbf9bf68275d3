"""Pictures: images, curves, vectors, and densities on the plane.

Functions that start with `draw_` draw into given Matplotlib axes; those that start with `save_` write a PNG file.
"""
