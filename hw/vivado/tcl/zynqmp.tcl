# Block design for a Zynq UltraScale+: processing system, AXI DMA and accelerator on one clock; then the bitstream.
source [file join [file dirname [file normalize [info script]]] common.tcl]

set board [open_new_project flipflow]
set_property ip_repo_paths [list [file join $here ip]] [current_project]
update_ip_catalog
create_bd_design flipflow

create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps
set preset [expr {$board ne ""}]
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config [list apply_board_preset $preset] [get_bd_cells ps]
set_config ps [list \
  PSU__FPGA_PL0_ENABLE 1 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $ff(clock_mhz) PSU__USE__FABRIC__RST 1 \
  PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 0 PSU__USE__M_AXI_GP2 0 \
  PSU__USE__S_AXI_GP2 1 PSU__SAXIGP2__DATA_WIDTH 128]

add_accelerator
source [file join $here dma.tcl]
join_interfaces {ps/M_AXI_HPM0_FPD control/S00_AXI memory/M00_AXI ps/S_AXI_HP0_FPD}
fan_out ps/pl_clk0 [concat $dma_clocks {ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk}]
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
implement
close_project
