# The part of a Zynq's block design that both families share: DMA, interconnects, reset. Leaves in `dma_clocks` all pins that
# want the clock.

create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma dma
# Simple transfers of up to 64 MiB. The width of the result stream follows from what is connected.
set_config dma [list \
  c_include_sg 0 c_sg_include_stscntrl_strm 0 c_sg_length_width 26 \
  c_m_axis_mm2s_tdata_width $ff(in_bits) c_m_axi_mm2s_data_width [expr {max(32, $ff(in_bits))}] \
  c_m_axi_s2mm_data_width [expr {max(32, $ff(out_bits))}]]
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control
set_config control {NUM_SI 1 NUM_MI 2}
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory
set_config memory {NUM_SI 2 NUM_MI 1}
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset

join_interfaces {
  control/M00_AXI  accelerator/s_axi
  control/M01_AXI  dma/S_AXI_LITE
  dma/M_AXI_MM2S   memory/S00_AXI
  dma/M_AXI_S2MM   memory/S01_AXI
  dma/M_AXIS_MM2S  accelerator/s_axis
  accelerator/m_axis dma/S_AXIS_S2MM
}
fan_out reset/peripheral_aresetn {accelerator/aresetn dma/axi_resetn control/aresetn memory/aresetn}
set dma_clocks {
  accelerator/aclk dma/s_axi_lite_aclk dma/m_axi_mm2s_aclk dma/m_axi_s2mm_aclk control/aclk memory/aclk reset/slowest_sync_clk
}
