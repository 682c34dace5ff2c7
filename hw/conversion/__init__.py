"""Parts of `flipflow.hw.convert`: how nodes of the streamlined graph become kernels."""
