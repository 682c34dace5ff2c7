# Block design for a PCI Express card: XDMA in stream mode, and the accelerator on a clock of its own; then the bitstream.
# The card's pins come from its board files, without which this stops.
source [file join [file dirname [file normalize [info script]]] common.tcl]

if {[open_new_project flipflow] eq ""} {
  error "Vivado has no board files for $ff(board_part); install them (Tools, Vivado Store, Boards) and start again"
}
set_property ip_repo_paths [list [file join $here ip]] [current_project]
update_ip_catalog
create_bd_design flipflow

create_bd_cell -type ip -vlnv xilinx.com:ip:util_ds_buf refclk
set_config refclk {C_BUF_TYPE IBUFDSGTE DIFF_CLK_IN_BOARD_INTERFACE pcie_refclk USE_BOARD_FLOW true}
create_bd_cell -type ip -vlnv xilinx.com:ip:xdma xdma
set_config xdma {
  PCIE_BOARD_INTERFACE pci_express_x16 SYS_RST_N_BOARD_INTERFACE pcie_perstn
  mode_selection Basic pl_link_cap_max_link_width X16 pl_link_cap_max_link_speed 8.0_GT/s
  xdma_axi_intf_mm AXI_Stream xdma_rnum_chnl 1 xdma_wnum_chnl 1
  axilite_master_en true axilite_master_size 64 axilite_master_scale Kilobytes
}
apply_bd_automation -rule xilinx.com:bd_rule:board \
  -config {Board_Interface pci_express_x16 Manual_Source Auto} [get_bd_intf_pins xdma/pcie_mgt]
apply_bd_automation -rule xilinx.com:bd_rule:board \
  -config {Board_Interface pcie_perstn Manual_Source Auto} [get_bd_pins xdma/sys_rst_n]
apply_bd_automation -rule xilinx.com:bd_rule:board \
  -config {Board_Interface pcie_refclk Manual_Source Auto} [get_bd_intf_pins refclk/CLK_IN_D]

add_accelerator
# The accelerator's clock is made of XDMA's, so that no other clock of the card is needed.
create_bd_cell -type ip -vlnv xilinx.com:ip:clk_wiz clock
set_config clock [list PRIM_SOURCE No_buffer CLKOUT1_REQUESTED_OUT_FREQ $ff(clock_mhz) USE_LOCKED true USE_RESET false]
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control
set_config control {NUM_SI 1 NUM_MI 1 NUM_CLKS 2}
create_bd_cell -type ip -vlnv xilinx.com:ip:axis_clock_converter images
create_bd_cell -type ip -vlnv xilinx.com:ip:axis_clock_converter results

connect_bd_net [get_bd_pins refclk/IBUF_OUT] [get_bd_pins xdma/sys_clk_gt]
connect_bd_net [get_bd_pins refclk/IBUF_DS_ODIV2] [get_bd_pins xdma/sys_clk]
join_interfaces {
  xdma/M_AXIS_H2C_0  images/S_AXIS
  images/M_AXIS      accelerator/s_axis
  accelerator/m_axis results/S_AXIS
  results/M_AXIS     xdma/S_AXIS_C2H_0
  xdma/M_AXI_LITE    control/S00_AXI
  control/M00_AXI    accelerator/s_axi
}
fan_out xdma/axi_aclk {clock/clk_in1 control/aclk images/s_axis_aclk results/m_axis_aclk}
fan_out xdma/axi_aresetn {reset/ext_reset_in control/aresetn images/s_axis_aresetn results/m_axis_aresetn}
fan_out clock/clk_out1 {accelerator/aclk control/aclk1 images/m_axis_aclk results/s_axis_aclk reset/slowest_sync_clk}
connect_bd_net [get_bd_pins clock/locked] [get_bd_pins reset/dcm_locked]
fan_out reset/peripheral_aresetn {accelerator/aresetn images/m_axis_aresetn results/s_axis_aresetn}
implement
close_project
