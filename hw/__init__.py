"""Streamlined graph to accelerator: kernels and their FINN ops, folding, stitching, RTL checks. FINN is imported
lazily.
"""
