# The mock's IP packager, block design and runs.

foreach {name least most} {
  ipx::create_xgui_files 1 1 ipx::update_checksums 1 1 ipx::check_integrity 1 1
} {
  namespace eval ipx {}
  mock::command $name {} {} $least $most {
    if {$rest ne "@core"} {
      error "no core: $rest"
    }
  }
}
mock::command ipx::package_project {-root_dir -vendor -library -taxonomy} {-import_files -force} 0 0 {
  set top [mock::need_module [lindex $tops end]]
  set core [dict create folder [dict get $given -root_dir] vendor [dict get $given -vendor] library [dict get $given -library]]
  dict set core ports [mock::ports $top]
}
mock::command ipx::current_core {} {} 0 0 { return @core }
mock::command ipx::get_bus_interfaces {-of_objects} {} 1 1 {
  # By the ports' names, as the packager does it.
  set suffixes [expr {[lindex $rest 0] eq "s_axi" ? {awaddr awvalid awready wdata wstrb wvalid wready bresp bvalid bready araddr
    arvalid arready rdata rresp rvalid rready} : {tdata tvalid tready tlast}}]
  foreach suffix $suffixes {
    if {![dict exists $core ports [lindex $rest 0]_$suffix]} {
      return {}
    }
  }
  return [lindex $rest 0]
}
mock::command ipx::associate_bus_interfaces {-busif -clock} {} 1 1 {
  if {![dict exists $core ports [dict get $given -clock]]} {
    error "no port [dict get $given -clock]"
  }
  dict lappend core associated [dict get $given -busif]
}
mock::command ipx::save_core {} {} 1 1 {
  if {[lsort [dict get $core associated]] ne {m_axis s_axi s_axis}} {
    error "interfaces without a clock"
  }
  file mkdir [dict get $core folder]
  set xml [open [file join [dict get $core folder] component.xml] w]
  puts $xml [list vlnv [dict get $core vendor]:[dict get $core library]:[dict get $core name] ports [dict get $core ports]]
  close $xml
}

# Ports of a Verilog module: name -> bits.
proc mock::ports {file} {
  set channel [open $file]
  set text [read $channel]
  close $channel
  set ports {}
  foreach {- high name} [regexp -all -inline -line {(?:input|output)\s+wire\s+(?:\[(\d+):0\]\s+)?(\w+)} $text] {
    dict set ports $name [expr {$high eq "" ? 1 : $high + 1}]
  }
  return $ports
}

# --- block design: cells {name {ip config}}; nets: pin -> driver; buses: interface -> interface, both ways

mock::command create_bd_design {} {} 1 1 { set cells {}; set nets {}; set buses {} }
mock::command create_bd_cell {-type -vlnv} {} 1 1 {
  set parts [split [dict get $given -vlnv] :]
  set ip [lindex $parts 2]
  if {[dict get $given -type] ne "ip" || ![dict exists $blocks::parameters $ip]} {
    error "create_bd_cell: no block [dict get $given -vlnv]"
  }
  set name [lindex $rest 0]
  if {[dict exists $cells $name]} {
    error "create_bd_cell: $name is there already"
  }
  if {$ip eq "flipflow_axi"} {
    set channel [open [file join [lindex [dict get $project repository] 0] component.xml]]
    set xml [read $channel]
    close $channel
    if {[dict get $xml vlnv] ne [dict get $given -vlnv] || ![dict exists $project catalogue]} {
      error "create_bd_cell: the catalogue has [dict get $xml vlnv]"
    }
    dict set project ports [dict get $xml ports]
  }
  dict set cells $name [list $ip [dict get $blocks::parameters $ip]]
  return $name
}
proc mock::configure {cell key value} {
  lassign [dict get $mock::cells $cell] ip config
  set key [string range $key 7 end]
  if {![dict exists $config $key]} {
    error "$ip has no parameter $key"
  }
  dict set config $key $value
  dict set mock::cells $cell [list $ip $config]
}
# Description of a pin ("pins") or interface ("buses") CELL/NAME: an entry of blocks.tcl.
proc mock::find {path which} {
  lassign [split $path /] cell name
  if {![dict exists $mock::cells $cell]} {
    error "no cell $cell"
  }
  lassign [dict get $mock::cells $cell] ip config
  foreach entry [lindex [blocks::$ip $config] [expr {$which eq "buses"}]] {
    if {[lindex $entry 0] eq $name} {
      return $entry
    }
  }
  error "$cell ($ip) has no $name among its $which"
}
mock::command get_bd_cells {} {} 1 1 {
  if {![dict exists $cells [lindex $rest 0]]} {
    error "no cell [lindex $rest 0]"
  }
  return [lindex $rest 0]
}
mock::command get_bd_pins {} {} 1 1 { mock::find [lindex $rest 0] pins; return [lindex $rest 0] }
mock::command get_bd_intf_pins {} {} 1 1 { mock::find [lindex $rest 0] buses; return [lindex $rest 0] }
mock::command connect_bd_net {} {} 2 2 {
  lassign $rest source sink
  lassign [mock::find $source pins] - direction kind
  lassign [mock::find $sink pins] - into wanted
  if {$direction ne "out" || $into ne "in" || $kind ne $wanted} {
    error "connect_bd_net: $source ($direction, $kind) to $sink ($into, $wanted)"
  }
  if {[dict exists $nets $sink]} {
    error "connect_bd_net: $sink has a driver already"
  }
  dict set nets $sink $source
}
mock::command connect_bd_intf_net {} {} 2 2 {
  lassign $rest from to
  lassign [mock::find $from buses] - mode kind
  lassign [mock::find $to buses] - into wanted
  if {$mode ne "master" || $into ne "slave" || $kind ne $wanted} {
    error "connect_bd_intf_net: $from ($mode, $kind) to $to ($into, $wanted)"
  }
  foreach end $rest {
    if {[dict exists $buses $end]} {
      error "connect_bd_intf_net: $end is connected already"
    }
  }
  dict set buses $from $to
  dict set buses $to $from
  set addressed 0
}
mock::command apply_bd_automation {-rule -config} {} 1 1 {
  set target [lindex $rest 0]
  set config [dict get $given -config]
  switch [dict get $given -rule] {
    xilinx.com:bd_rule:processing_system7 { dict set buses $target/DDR @port; dict set buses $target/FIXED_IO @port }
    xilinx.com:bd_rule:zynq_ultra_ps_e {}
    xilinx.com:bd_rule:board {
      if {[dict get $project board] eq ""} {
        error "apply_bd_automation: no board"
      }
      if {[dict get $config Board_Interface] eq "pcie_perstn"} {
        dict set nets $target @port
      } else {
        dict set buses $target @port
      }
      return
    }
    default { error "apply_bd_automation: no rule [dict get $given -rule]" }
  }
  if {[dict get $config apply_board_preset] && [dict get $project board] eq ""} {
    error "apply_bd_automation: a preset, and no board"
  }
}
mock::command assign_bd_address {} {} 0 0 { set addressed 1 }

# Clocks that may drive an interface: the net of its clock pin, or all of an interconnect's clocks.
proc mock::clocks {path} {
  set cell [lindex [split $path /] 0]
  set clock [lindex [mock::find $path buses] 3]
  if {$clock ne "any"} {
    set pin $cell/$clock
    return [expr {[lindex [mock::find $pin pins] 1] eq "out" ? $pin : [dict get $mock::nets $pin]}]
  }
  lassign [dict get $mock::cells $cell] ip config
  set found {}
  foreach entry [lindex [blocks::$ip $config] 0] {
    if {[lindex $entry 2] eq "clock"} {
      lappend found [dict get $mock::nets $cell/[lindex $entry 0]]
    }
  }
  return $found
}

mock::command validate_bd_design {} {} 0 0 {
  if {!$addressed} {
    error "validate_bd_design: addresses are not assigned"
  }
  dict for {cell about} $cells {
    lassign $about ip config
    lassign [blocks::$ip $config] pins interfaces
    foreach entry $pins {
      lassign $entry name direction kind required
      if {$direction eq "in" && $required && ![dict exists $nets $cell/$name]} {
        error "validate_bd_design: $cell/$name is not connected"
      }
    }
    foreach entry $interfaces {
      lassign $entry name mode kind clock required
      if {$required && ![dict exists $buses $cell/$name]} {
        error "validate_bd_design: $cell/$name is not connected"
      }
    }
  }
  dict for {from to} $buses {
    if {$to eq "@port" || $from eq "@port"} {
      continue
    }
    set shared 0
    foreach clock [mock::clocks $from] {
      if {$clock in [mock::clocks $to]} {
        set shared 1
      }
    }
    if {!$shared} {
      error "validate_bd_design: $from and $to are on different clocks"
    }
  }
  mock::check_widths
  set state validated
}

# Streams must be as wide at both ends; a clock converter takes its width from its neighbours, XDMA at Gen3 x16 has 512 bits.
proc mock::check_widths {} {
  set ports [dict get $mock::project ports]
  foreach {bus port} {s_axis s_axis_tdata m_axis m_axis_tdata} {
    set other [dict get $mock::buses accelerator/$bus]
    lassign [dict get $mock::cells [lindex [split $other /] 0]] ip config
    if {$ip eq "axis_clock_converter"} {
      set width 512
    } elseif {$bus eq "s_axis"} {
      set width [dict get $config c_m_axis_mm2s_tdata_width]
    } else {
      set width [dict get $ports $port]  ;# the DMA takes this one from the connection, if its memory side is no narrower
      if {$width > [dict get $config c_m_axi_s2mm_data_width]} {
        error "validate_bd_design: the DMA's memory side is narrower than its stream"
      }
    }
    if {$width != [dict get $ports $port]} {
      error "validate_bd_design: $other has $width bits, accelerator/$bus [dict get $ports $port]"
    }
  }
}
mock::command save_bd_design {} {} 0 0 {}
mock::command get_files {} {} 1 1 { return [file join [dict get $project directory] [lindex $rest 0]] }
mock::command make_wrapper {-files} {-top} 0 0 {
  mock::after make_wrapper validated wrapped
  set wrapper [file join [dict get $project directory] flipflow_wrapper.v]
  set out [open $wrapper w]
  puts $out "module flipflow_wrapper ();\nendmodule"
  close $out
  return $wrapper
}
mock::command get_runs {} {} 1 1 { return @run:[lindex $rest 0] }
mock::command launch_runs {-to_step -jobs} {} 1 1 {
  mock::after launch_runs wrapped launched
  if {[lindex $tops end] ne "flipflow_wrapper" || [dict get $given -to_step] ne "write_bitstream"} {
    error "launch_runs: nothing to make a bitstream of"
  }
}
mock::command wait_on_run {} {} 1 1 {
  mock::after wait_on_run launched done
  set directory [file join [dict get $project directory] runs]
  set handoff [file join [dict get $project directory] flipflow.gen sources_1 bd flipflow hw_handoff]
  file mkdir $directory $handoff
  set bit [open [file join $directory flipflow_wrapper.bit] w]
  puts $bit "a bitstream for [dict get $project part]"
  close $bit
  close [open [file join $handoff flipflow.hwh] w]
  dict set runs @run:[lindex $rest 0] [dict create PROGRESS 100% STATUS "write_bitstream Complete!" DIRECTORY $directory]
}
mock::command open_run {} {} 1 1 { mock::after open_run done routed }
