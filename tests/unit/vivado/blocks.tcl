# Blocks of AMD's IP catalogue as far as the generated scripts use them, read from their product guides: PG021 (AXI DMA), PG082
# (processing system 7), PG201 (Zynq UltraScale+), PG247 (SmartConnect), PG164 (reset), PG195 (XDMA), PG085 (clock converter),
# PG065 (clocking wizard), UG994 (utility buffer).
#
# A block: parameters that may be set; pins {name direction kind required}; interfaces {name mode kind clock required}, kind mm or
# axis or other, clock the pin that clocks it. `when` pins and interfaces exist only with a parameter: {parameter value ...}.

namespace eval blocks {}

proc blocks::processing_system7 {config} {
  set pins {{FCLK_CLK0 out clock 0} {FCLK_RESET0_N out reset 0}}
  set buses {{DDR master other {} 1} {FIXED_IO master other {} 1}}
  if {[dict get $config PCW_USE_M_AXI_GP0]} {
    lappend pins {M_AXI_GP0_ACLK in clock 1}
    lappend buses {M_AXI_GP0 master mm M_AXI_GP0_ACLK 1}
  }
  if {[dict get $config PCW_USE_S_AXI_HP0]} {
    lappend pins {S_AXI_HP0_ACLK in clock 1}
    lappend buses {S_AXI_HP0 slave mm S_AXI_HP0_ACLK 1}
  }
  return [list $pins $buses]
}

proc blocks::zynq_ultra_ps_e {config} {
  set pins {{pl_clk0 out clock 0}}
  set buses {}
  if {[dict get $config PSU__USE__FABRIC__RST]} {
    lappend pins {pl_resetn0 out reset 0}
  }
  foreach {key bus clock mode} {
    PSU__USE__M_AXI_GP0 M_AXI_HPM0_FPD maxihpm0_fpd_aclk master
    PSU__USE__M_AXI_GP1 M_AXI_HPM1_FPD maxihpm1_fpd_aclk master
    PSU__USE__M_AXI_GP2 M_AXI_HPM0_LPD maxihpm0_lpd_aclk master
    PSU__USE__S_AXI_GP2 S_AXI_HP0_FPD  saxihp0_fpd_aclk  slave
  } {
    if {[dict get $config $key]} {
      lappend pins [list $clock in clock 1]
      lappend buses [list $bus $mode mm $clock 1]
    }
  }
  return [list $pins $buses]
}

proc blocks::axi_dma {config} {
  set pins {
    {s_axi_lite_aclk in clock 1} {m_axi_mm2s_aclk in clock 1} {m_axi_s2mm_aclk in clock 1} {axi_resetn in reset 1}
    {mm2s_introut out other 0} {s2mm_introut out other 0}
  }
  set buses {
    {S_AXI_LITE slave mm s_axi_lite_aclk 1} {M_AXI_MM2S master mm m_axi_mm2s_aclk 1} {M_AXI_S2MM master mm m_axi_s2mm_aclk 1}
    {M_AXIS_MM2S master axis m_axi_mm2s_aclk 1} {S_AXIS_S2MM slave axis m_axi_s2mm_aclk 1}
  }
  if {[dict get $config c_include_sg]} {
    lappend pins {m_axi_sg_aclk in clock 1}
    lappend buses {M_AXI_SG master mm m_axi_sg_aclk 1}
  }
  foreach side {mm2s s2mm} {
    set width [dict get $config c_m_axi_${side}_data_width]
    if {$width ni {32 64 128 256 512 1024}} {
      error "c_m_axi_${side}_data_width cannot be $width"
    }
  }
  set stream [dict get $config c_m_axis_mm2s_tdata_width]
  if {$stream ni {8 16 32 64 128 256 512 1024} || $stream > [dict get $config c_m_axi_mm2s_data_width]} {
    error "c_m_axis_mm2s_tdata_width cannot be $stream"
  }
  set length [dict get $config c_sg_length_width]
  if {$length < 8 || $length > 26} {
    error "c_sg_length_width cannot be $length"
  }
  return [list $pins $buses]
}

proc blocks::smartconnect {config} {
  set pins {{aclk in clock 1} {aresetn in reset 1}}
  for {set i 1} {$i < [dict get $config NUM_CLKS]} {incr i} {
    lappend pins [list aclk$i in clock 1]
  }
  set buses {}
  foreach {key letter mode} {NUM_SI S slave NUM_MI M master} {
    for {set i 0} {$i < [dict get $config $key]} {incr i} {
      lappend buses [list [format %s%02d_AXI $letter $i] $mode mm any 1]
    }
  }
  return [list $pins $buses]
}

proc blocks::proc_sys_reset {config} {
  return {{
    {slowest_sync_clk in clock 1} {ext_reset_in in reset 1} {dcm_locked in other 0} {peripheral_aresetn out reset 0}
    {interconnect_aresetn out reset 0} {peripheral_reset out reset_high 0}
  } {}}
}

proc blocks::util_ds_buf {config} {
  if {[dict get $config C_BUF_TYPE] ne "IBUFDSGTE"} {
    return {{} {}}
  }
  return {{{IBUF_OUT out clock 0} {IBUF_DS_ODIV2 out clock 0}} {{CLK_IN_D slave other {} 1}}}
}

proc blocks::xdma {config} {
  if {[dict get $config xdma_axi_intf_mm] ne "AXI_Stream"} {
    error "the mock knows XDMA with streams only"
  }
  set pins {
    {sys_clk in clock 1} {sys_clk_gt in clock 1} {sys_rst_n in reset 1} {axi_aclk out clock 0} {axi_aresetn out reset 0}
    {usr_irq_req in other 0}
  }
  set buses {
    {pcie_mgt master other {} 1} {M_AXIS_H2C_0 master axis axi_aclk 1} {S_AXIS_C2H_0 slave axis axi_aclk 1}
  }
  if {[dict get $config axilite_master_en]} {
    lappend buses {M_AXI_LITE master mm axi_aclk 1}
  }
  return [list $pins $buses]
}

proc blocks::clk_wiz {config} {
  set pins {{clk_in1 in clock 1} {clk_out1 out clock 0}}
  if {[dict get $config USE_LOCKED]} {
    lappend pins {locked out other 0}
  }
  if {[dict get $config USE_RESET]} {
    lappend pins {reset in reset 1}
  }
  return [list $pins {}]
}

proc blocks::axis_clock_converter {config} {
  return {{
    {s_axis_aclk in clock 1} {s_axis_aresetn in reset 1} {m_axis_aclk in clock 1} {m_axis_aresetn in reset 1}
  } {{S_AXIS slave axis s_axis_aclk 1} {M_AXIS master axis m_axis_aclk 1}}}
}

proc blocks::flipflow_axi {config} {
  return {{{aclk in clock 1} {aresetn in reset 1}} {
    {s_axi slave mm aclk 1} {s_axis slave axis aclk 1} {m_axis master axis aclk 1}
  }}
}

# Parameters that may be set, with their defaults.
set blocks::parameters {
  processing_system7 {
    PCW_CRYSTAL_PERIPHERAL_FREQMHZ 33.333333 PCW_FPGA0_PERIPHERAL_FREQMHZ 50 PCW_EN_CLK0_PORT 0 PCW_EN_RST0_PORT 0
    PCW_USE_M_AXI_GP0 1 PCW_USE_S_AXI_HP0 0
  }
  zynq_ultra_ps_e {
    PSU__FPGA_PL0_ENABLE 1 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100 PSU__USE__FABRIC__RST 0
    PSU__USE__M_AXI_GP0 1 PSU__USE__M_AXI_GP1 1 PSU__USE__M_AXI_GP2 0 PSU__USE__S_AXI_GP2 0 PSU__SAXIGP2__DATA_WIDTH 128
  }
  axi_dma {
    c_include_sg 1 c_sg_include_stscntrl_strm 1 c_sg_length_width 14 c_m_axis_mm2s_tdata_width 32 c_m_axi_mm2s_data_width 32
    c_m_axi_s2mm_data_width 32
  }
  smartconnect {NUM_SI 2 NUM_MI 1 NUM_CLKS 1}
  proc_sys_reset {}
  util_ds_buf {C_BUF_TYPE IBUFDS DIFF_CLK_IN_BOARD_INTERFACE Custom USE_BOARD_FLOW false}
  xdma {
    PCIE_BOARD_INTERFACE Custom SYS_RST_N_BOARD_INTERFACE Custom mode_selection Basic pl_link_cap_max_link_width X1
    pl_link_cap_max_link_speed 2.5_GT/s xdma_axi_intf_mm AXI_Memory_Mapped xdma_rnum_chnl 1 xdma_wnum_chnl 1
    axilite_master_en false axilite_master_size 1 axilite_master_scale Megabytes
  }
  clk_wiz {PRIM_SOURCE Single_ended_clock_capable_pin CLKOUT1_REQUESTED_OUT_FREQ 100 USE_LOCKED true USE_RESET true}
  axis_clock_converter {}
  flipflow_axi {}
}
