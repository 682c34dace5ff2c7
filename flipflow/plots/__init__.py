"""Pictures of trainings, with matplotlib: each as PNG to look at and as SVG to print."""
