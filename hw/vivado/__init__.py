"""AMD's Vivado: projects, scripts and drivers for boards that only it makes bitstreams for."""

from flipflow.hw.vivado.flow import bitstream

__all__ = ["bitstream"]
