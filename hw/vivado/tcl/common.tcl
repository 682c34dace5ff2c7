# What the other scripts share. `settings.tcl` beside it holds the values of one accelerator and one board.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

# Absolute names of files that the settings name relative to this folder.
proc placed {names} {
  global here
  set paths {}
  foreach name $names {
    lappend paths [file join $here $name]
  }
  return $paths
}

# Opens a project on disk for the settings' part, and for their board where Vivado has its files.
proc open_new_project {name} {
  global here ff
  create_project -force $name [file join $here build $name] -part $ff(part)
  set board [lindex [get_board_parts -quiet -latest_file_version "$ff(board_part):*"] end]
  if {$board ne ""} {
    set_property board_part $board [current_project]
  }
  return $board
}

# Reports of an open implemented design. summary.txt: lines "key value" of the path with the least slack, in ns.
proc write_reports {folder} {
  file mkdir $folder
  report_utilization -hierarchical -file [file join $folder utilization.rpt]
  report_timing_summary -file [file join $folder timing.rpt]
  set worst [lindex [get_timing_paths -max_paths 1 -setup] 0]
  set hold [lindex [get_timing_paths -max_paths 1 -hold] 0]
  set out [open [file join $folder summary.txt] w]
  puts $out "slack [get_property SLACK $worst]"
  puts $out "hold_slack [get_property SLACK $hold]"
  puts $out "period [get_property REQUIREMENT $worst]"
  puts $out "from [get_property STARTPOINT_PIN $worst]"
  puts $out "to [get_property ENDPOINT_PIN $worst]"
  puts $out "version [version -short]"
  close $out
}

# The block of the accelerator, packaged by package_ip.tcl, in the current block design.
proc add_accelerator {} {
  return [create_bd_cell -type ip -vlnv flipflow:user:flipflow_axi accelerator]
}

# Connects one pin to many.
proc fan_out {source sinks} {
  foreach sink $sinks {
    connect_bd_net [get_bd_pins $source] [get_bd_pins $sink]
  }
}

# Connects interfaces: a list of from, to, from, to, ...
proc join_interfaces {pairs} {
  foreach {from to} $pairs {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
  }
}

proc set_config {cell values} {
  set settings {}
  foreach {key value} $values {
    lappend settings CONFIG.$key $value
  }
  set_property -dict $settings [get_bd_cells $cell]
}

# Checks the block design, and makes bitstream, reports and (for a Zynq) the hardware description out of it.
proc implement {} {
  global here ff
  assign_bd_address
  validate_bd_design
  save_bd_design
  set wrapper [make_wrapper -files [get_files flipflow.bd] -top]
  add_files -norecurse [list $wrapper]
  set_property top flipflow_wrapper [current_fileset]
  update_compile_order -fileset sources_1
  launch_runs impl_1 -to_step write_bitstream -jobs $ff(jobs)
  wait_on_run impl_1
  if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
    error "implementation stopped: [get_property STATUS [get_runs impl_1]]"
  }
  open_run impl_1
  write_reports [file join $here reports implemented]
  set directory [get_property DIRECTORY [get_runs impl_1]]
  file copy -force [file join $directory flipflow_wrapper.bit] [file join $here accelerator.bit]
  set project [get_property DIRECTORY [current_project]]
  foreach tree {gen srcs} {
    foreach handoff [glob -nocomplain [file join $project *.$tree sources_1 bd flipflow hw_handoff flipflow.hwh]] {
      file copy -force $handoff [file join $here accelerator.hwh]
    }
  }
}
