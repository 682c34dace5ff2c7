# Synthesis, placement and routing of the accelerator alone, with its AXI interfaces and without any pins: what it needs and how
# fast it is by itself. Reports lie in reports/out_of_context.
source [file join [file dirname [file normalize [info script]]] common.tcl]

create_project -in_memory -part $ff(part)
read_verilog -sv [placed $ff(systemverilog)]
read_verilog [placed $ff(verilog)]
if {[llength $ff(memories)]} {
  read_mem [placed $ff(memories)]
}
read_xdc -mode out_of_context [placed $ff(constraints)]
synth_design -top $ff(top) -part $ff(part) -mode out_of_context -flatten_hierarchy rebuilt
opt_design
place_design
phys_opt_design
route_design
write_reports [file join $here reports out_of_context]
write_checkpoint -force [file join $here build out_of_context.dcp]
close_project
