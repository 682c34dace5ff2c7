# Block design for a Zynq-7000: processing system, AXI DMA and accelerator on one clock; then the bitstream.
source [file join [file dirname [file normalize [info script]]] common.tcl]

set board [open_new_project flipflow]
set_property ip_repo_paths [list [file join $here ip]] [current_project]
update_ip_catalog
create_bd_design flipflow

create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps
set preset [expr {$board ne ""}]
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
  -config [list make_external "FIXED_IO, DDR" apply_board_preset $preset Master Disable Slave Disable] [get_bd_cells ps]
set_config ps [list \
  PCW_CRYSTAL_PERIPHERAL_FREQMHZ $ff(crystal_mhz) PCW_FPGA0_PERIPHERAL_FREQMHZ $ff(clock_mhz) \
  PCW_EN_CLK0_PORT 1 PCW_EN_RST0_PORT 1 PCW_USE_M_AXI_GP0 1 PCW_USE_S_AXI_HP0 1]

add_accelerator
source [file join $here dma.tcl]
join_interfaces {ps/M_AXI_GP0 control/S00_AXI memory/M00_AXI ps/S_AXI_HP0}
fan_out ps/FCLK_CLK0 [concat $dma_clocks {ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK}]
connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] [get_bd_pins reset/ext_reset_in]
implement
close_project
